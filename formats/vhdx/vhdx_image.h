// VhdxImage: a disk cut into blocks of equal size, a BAT that says where each one is, and for a
// child bitmaps that say which sectors of a block are its own.
#pragma once

#include <memory>
#include <optional>

#include "formats/vhdx/block_map.h"
#include "formats/vhdx/parse.h"

namespace platter::vhdx {

// Thread safe.
class VhdxImage final : public Image {
 public:
  // file: the image's own. shown: the same, or as it is with its log replayed.
  VhdxImage(FilePtr file, FilePtr shown, std::shared_ptr<PageCache> tables, Parsed header);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return header_.shape().disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

 private:
  const FilePtr file_, shown_;
  const std::shared_ptr<PageCache> tables_;

  Parsed header_;
  ImageInfo info_;
  std::optional<BlockMap> blocks_;
};

}  // namespace platter::vhdx
