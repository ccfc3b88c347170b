// DynamicImage: a disk cut into blocks, a table that says where each one is, and in front of each
// a bitmap of its sectors. Also differencing disks, whose other sectors are the parent's.
#pragma once

#include <memory>
#include <optional>

#include "formats/vhd/changes.h"
#include "formats/vhd/parse.h"
#include "formats/vhd/sectors.h"
#include "lib/image/image.h"

namespace platter::vhd {

// Thread safe.
class DynamicImage final : public Image {
 public:
  // allocated: blocks the table points at, where that was counted.
  DynamicImage(FilePtr file, std::shared_ptr<PageCache> tables, Parsed parsed, bool writable,
               std::optional<uint64_t> allocated);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return parsed_.disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  void abandon(const Reservation& reservation) noexcept override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  bool wants_flush() const override { return changes_ != nullptr && changes_->wants_flush(); }
  Result<void> resize(uint64_t size) override;
  Result<void> check(Repair repair, CheckReport& report) override;
  Result<void> set_metadata(const Metadata& values) override;
  Result<void> set_parent(const ParentLink& parent) override;
  Result<void> drop_parent() override;
  Result<void> compact(Progress& progress) override;

 private:
  // What the headers say now. What is in memory of the blocks is given up.
  void take(Parsed parsed);
  Result<void> expect_writable();
  uint64_t data_end() const { return changes_ ? changes_->data_end() : parsed_.data_end; }
  // Of the table from this block on, all of which nobody wrote; or one that is there.
  struct Run {
    uint32_t entry = 0;
    uint64_t blocks = 1;
  };
  Result<Run> run_at(uint64_t block, uint64_t last) const;
  // What of a block that is there holds this guest byte. sector: of the file.
  Result<Extent> in_block(uint64_t block, uint32_t sector, uint64_t at) const;
  Result<SectorRun> bits_at(uint64_t bitmap, uint64_t sector) const;
  Result<void> expect_inside(uint64_t block, const Range& stored) const;
  // Zeroes without data where a block of the parent's is, or nobody's.
  Result<Range> make_explicit_zero(const Range& want);

  const FilePtr file_;
  const std::shared_ptr<PageCache> tables_;
  const bool writable_;

  // As long as nobody resizes the disk.
  Parsed parsed_;
  std::vector<Range> places_;
  ImageInfo info_;
  std::optional<uint64_t> allocated_;  // when it was opened
  unsigned block_bits_ = 0;
  std::optional<PageTable> pointers_;  // the table and the bitmaps
  std::unique_ptr<Changes> changes_;   // null: not to be changed
};

}  // namespace platter::vhd
