// SparseExtent: a part of a disk cut into grains, in a file with tables that say where each one is:
// hosted sparse ("KDMV"), compressed or not, and ESX's ("COWD").
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "formats/vmdk/disk_extent.h"
#include "formats/vmdk/grain_codec.h"
#include "formats/vmdk/grain_tables.h"
#include "formats/vmdk/sparse_changes.h"
#include "formats/vmdk/sparse_header.h"
#include "formats/vmdk/stream_scan.h"

namespace platter::vmdk {

// Thread safe.
class SparseExtent final : public DiskExtent {
 public:
  struct Request {
    FilePtr file;
    SparseHeader header;
    uint64_t size = 0;  // of the disk's part, bytes; at most the header's capacity
    std::shared_ptr<PageCache> tables;
    Epochs* epochs = nullptr;  // of who reads the disk; null: the extent is only read
    bool child = false;        // what is not in it is a parent's
  };
  // Looks for the grains of a stream whose footer is missing, where search is set.
  static Result<std::unique_ptr<SparseExtent>> open(Request request, bool search);

  Result<Extent> map(const Range& want) const override;
  uint64_t grain_size() const override { return layout_.grain; }
  FilePtr file() const override { return file_; }
  std::string description() const override;
  std::vector<std::string> warnings() const override { return warnings_; }
  bool unclean() const override { return layout_.unclean; }

  Result<void> expect_writable() const override;
  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override { return changes_->reserve(want); }
  Result<void> publish(const Reservation& r) override { return changes_->publish(r); }
  void abandon(const Reservation& r) noexcept override { changes_->abandon(r); }
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  bool wants_flush() const override { return changes_ != nullptr && changes_->wants_flush(); }
  Result<void> grow(uint64_t size) override;
  void close() noexcept override { changes_.reset(); }
  Result<std::unique_ptr<DiskExtent>> reopened(uint64_t size) override;
  Result<void> compact(Progress& progress) override;
  Result<void> check(Repair how, CheckReport& report) override;

 private:
  explicit SparseExtent(Request request);

  enum class Kind : unsigned char { none, zeroed, grain };
  // Grains of one kind, and side by side in the file when they are there.
  struct Run {
    Kind kind = Kind::none;
    uint64_t grains = 1;
    uint64_t host = 0;    // bytes
    uint64_t stored = 0;  // compressed: bytes at most
  };
  // limit: grains that are asked for.
  Result<Run> run_at(uint64_t grain, uint64_t limit) const;
  Result<Run> run_in_table(uint64_t table, uint64_t grain, uint64_t limit) const;
  Run whole_grains(const GrainTables::Window& window, uint64_t host, uint64_t limit) const;
  Run compressed_grain(const GrainTables::Window& window, uint64_t host) const;
  Extent of_run(const Run& run, uint64_t grain, uint64_t at) const;
  bool in_place() const { return changes_ != nullptr && changes_->begun(); }
  // Whole grains at the start of the range, in one sector of a table.
  uint64_t whole_grains(const Range& range) const;

  const FilePtr file_;
  const SparseHeader header_;
  const GrainLayout layout_;
  const GrainCodec codec_;
  std::vector<std::string> warnings_;
  std::optional<StreamGrains> found_;  // instead of tables
  GrainTables tables_;
  std::atomic<uint64_t> data_end_;  // what the file is known to have, bytes
  const std::shared_ptr<PageCache> clean_;
  Epochs* const epochs_;
  const bool child_;
  std::unique_ptr<SparseChanges> changes_;  // null: not to be changed
};

}  // namespace platter::vmdk
