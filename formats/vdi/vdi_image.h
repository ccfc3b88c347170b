// VdiImage: a disk cut into blocks of equal size, and a map that says where each one is.
#pragma once

#include <memory>
#include <optional>

#include "formats/vdi/changes.h"
#include "formats/vdi/parse.h"

namespace platter::vdi {

// Thread safe.
class VdiImage final : public Image {
 public:
  VdiImage(FilePtr file, std::shared_ptr<PageCache> tables, Parsed header, bool writable);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return header_.disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  void abandon(const Reservation& reservation) noexcept override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> check(Repair repair, CheckReport& report) override;
  Result<void> set_metadata(const Metadata& values) override;
  Result<void> set_parent(const ParentLink& parent) override;
  Result<void> drop_parent() override;
  Result<void> compact(Progress& progress) override;
  bool wants_flush() const override { return changes_ != nullptr && changes_->wants_flush(); }

 private:
  // What the headers say now. What is in memory of the blocks is given up.
  void take(Parsed header);
  void look_at_size(uint64_t file_size);
  Result<void> expect_writable();
  uint64_t whole_blocks() const { return changes_ ? changes_->whole_blocks() : whole_at_open_; }
  // Blocks of one kind, and of one run in the file when they are data.
  struct Run {
    uint32_t entry = 0;  // of the first one
    uint64_t blocks = 1;
  };
  // last: the last block asked for.
  Result<Run> run_at(uint64_t block, uint64_t last) const;
  // at: the guest byte asked for.
  Result<Extent> short_block(uint64_t block, uint32_t number, uint64_t at) const;

  const FilePtr file_;
  const std::shared_ptr<PageCache> tables_;
  const bool writable_;

  // As long as nobody resizes the disk.
  Parsed header_;
  ImageInfo info_;
  unsigned block_bits_ = 0;
  uint64_t whole_at_open_ = 0;  // blocks of a lower number are in the file to their last byte
  std::optional<PageTable> map_;
  std::unique_ptr<Changes> changes_;  // null: not to be changed
};

}  // namespace platter::vdi
