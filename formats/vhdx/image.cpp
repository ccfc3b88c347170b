#include "formats/vhdx/vhdx_image.h"

#include "formats/vhdx/describe.h"

namespace platter::vhdx {

VhdxImage::VhdxImage(FilePtr file, FilePtr shown, std::shared_ptr<PageCache> tables, Parsed header)
    : file_(std::move(file)),
      shown_(std::move(shown)),
      tables_(std::move(tables)),
      header_(std::move(header)),
      info_(describe(header_)) {
  blocks_.emplace(shown_, header_, tables_, false);
}

Result<Extent> VhdxImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  return blocks_->find(want);
}

}  // namespace platter::vhdx
