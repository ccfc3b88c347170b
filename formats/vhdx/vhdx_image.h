// VhdxImage: a disk cut into blocks of equal size, a BAT that says where each one is, and for a
// child bitmaps that say which sectors of a block are its own.
#pragma once

#include <memory>
#include <optional>

#include "formats/vhdx/block_map.h"
#include "formats/vhdx/changes.h"
#include "formats/vhdx/parse.h"

namespace platter::vhdx {

// Thread safe.
class VhdxImage final : public Image {
 public:
  struct Files {
    FilePtr image;
    FilePtr shown;  // the same, or as it is with its log replayed
  };
  // epochs: null, not to be changed. info_only: nor to be written to but by check() and its like.
  VhdxImage(Files files, std::shared_ptr<PageCache> tables, Parsed header, Epochs* epochs,
            bool info_only);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return header_.shape().disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {files_.image}; }

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
  // What the file says now. What is in memory of the blocks is given up.
  void take(Parsed header);
  Result<void> expect_writable() const;

  const Files files_;
  const std::shared_ptr<PageCache> tables_;
  Epochs* const epochs_;
  const bool info_only_;

  // As long as nobody resizes the disk.
  Parsed header_;
  ImageInfo info_;
  std::optional<BlockMap> blocks_;
  std::unique_ptr<Changes> changes_;  // null: not to be changed
};

}  // namespace platter::vhdx
