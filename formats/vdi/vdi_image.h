// VdiImage: a disk cut into blocks of equal size, and a map that says where each one is.
#pragma once

#include "formats/vdi/parse.h"
#include "lib/image/page_cache.h"

namespace platter::vdi {

// Thread safe.
class VdiImage final : public Image {
 public:
  VdiImage(FilePtr file, std::shared_ptr<PageCache> tables, Parsed header);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return header_.disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

 private:
  // Blocks of one kind, and of one run in the file when they are data.
  struct Run {
    uint32_t entry = 0;  // of the first one
    uint64_t blocks = 1;
  };
  // last: the last block asked for.
  Result<Run> run_at(uint64_t block, uint64_t last) const;
  // at: the guest byte asked for.
  Result<Extent> short_block(uint64_t block, uint32_t number, uint64_t at) const;

  FilePtr file_;
  std::shared_ptr<PageCache> tables_;
  Parsed header_;
  ImageInfo info_;
  unsigned block_bits_;
  uint64_t whole_blocks_;  // blocks of a lower number are in the file to their last byte
};

}  // namespace platter::vdi
