// A new sparse extent, as VMware and QEMU lay it out:
//
//     header, written last
//     descriptor            20 sectors, where it is embedded
//     redundant directory, its tables
//     directory, its tables
//     grains                from the next multiple of their size, as they come
//
// All tables have their places from the start; those of a large disk are holes until they have an
// entry. One table is held at a time.
#include "formats/vmdk/extent_writer.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

constexpr uint64_t kDescriptorSectors = 20;
constexpr uint64_t kTableEntries = 512;
// An entry is a sector's number.
constexpr uint64_t kMaxFile = (uint64_t{1} << 32) * kSector;

uint64_t whole_sectors(uint64_t bytes) { return align_up(bytes, kSector); }

class SparseWriter final : public ExtentWriter {
 public:
  SparseWriter(FilePtr file, const NewSparse& sparse, const GrainLayout& layout)
      : file_(std::move(file)), sparse_(sparse), layout_(layout), next_(layout.first_grain) {}

  Result<void> write(uint64_t offset, Bytes data) override {
    TRY(file_->write(next_, data));
    for (uint64_t at = 0; at < data.size(); at += layout_.grain) {
      TRY(put((offset + at) / layout_.grain, static_cast<uint32_t>((next_ + at) / kSector)));
    }
    next_ += align_up(data.size(), layout_.grain);
    return {};
  }

  Result<bool> zero(const Range& range) override {
    if (!sparse_.zeroed) return !sparse_.child;
    const uint64_t end = div_up(range.end(), layout_.grain);
    for (uint64_t grain = range.offset / layout_.grain; grain < end; ++grain) {
      TRY(put(grain, kZeroedGrain));
    }
    return true;
  }

  Result<void> finish(std::string_view descriptor) override {
    TRY(flush_table());
    // The last grain is stored whole.
    TRY(file_->resize(next_));
    TRY(write_directory(layout_.redundant));
    TRY(write_directory(layout_.directory));
    if (sparse_.embedded) {
      std::string area(descriptor);
      area.resize(kDescriptorSectors * kSector, '\0');
      TRY(file_->write(kSector, std::as_bytes(std::span(area))));
    }
    // With the header the file is an image: all else has to be there before, whatever happens.
    TRY(file_->sync());
    TRY(write_header());
    return file_->sync();
  }

 private:
  Result<void> put(uint64_t grain, uint32_t entry) {
    const uint64_t table = grain / kTableEntries;
    if (table_.empty() || table != table_index_) {
      TRY(flush_table());
      table_index_ = table;
      table_.assign(kTableEntries, le32(kNoGrain));
    }
    table_[grain % kTableEntries] = entry;
    return {};
  }

  uint64_t table_at(uint64_t directory, uint64_t index) const {
    return directory + whole_sectors(layout_.entries * sizeof(le32)) +
           index * layout_.table_bytes();
  }

  Result<void> flush_table() {
    if (table_.empty()) return {};
    const Bytes bytes = std::as_bytes(std::span(table_));
    TRY(file_->write(table_at(layout_.redundant, table_index_), bytes));
    TRY(file_->write(table_at(layout_.directory, table_index_), bytes));
    table_.clear();
    return {};
  }

  Result<void> write_directory(uint64_t directory) {
    constexpr uint64_t kAtOnce = 16 * KiB;
    std::vector<le32> piece;
    for (uint64_t first = 0; first < layout_.entries; first += piece.size()) {
      piece.clear();
      for (uint64_t i = first; i < std::min(first + kAtOnce, layout_.entries); ++i) {
        piece.emplace_back(static_cast<uint32_t>(table_at(directory, i) / kSector));
      }
      TRY(file_->write(directory + first * sizeof(le32), std::as_bytes(std::span(piece))));
    }
    return {};
  }

  Result<void> write_header() {
    RawSparseHeader raw;
    raw.magic = kSparseMagic;
    raw.version = sparse_.zeroed ? 2 : 1;
    raw.flags = kFlagNewlines | kFlagRedundant | (sparse_.zeroed ? kFlagZeroed : 0);
    raw.capacity = layout_.capacity / kSector;
    raw.grain_size = layout_.grain / kSector;
    raw.descriptor_offset = sparse_.embedded ? 1 : 0;
    raw.descriptor_size = sparse_.embedded ? kDescriptorSectors : 0;
    raw.entries_per_table = static_cast<uint32_t>(layout_.table_entries);
    raw.rgd_offset = layout_.redundant / kSector;
    raw.gd_offset = layout_.directory / kSector;
    raw.overhead = layout_.first_grain / kSector;
    raw.newlines = kNewlines;
    return file_->write(0, as_bytes_of(raw));
  }

  const FilePtr file_;
  const NewSparse sparse_;
  const GrainLayout layout_;
  uint64_t next_;  // where the next grain goes, bytes
  uint64_t table_index_ = 0;
  std::vector<le32> table_;  // of that index; empty: none is held
};

class FlatWriter final : public ExtentWriter {
 public:
  FlatWriter(FilePtr file, uint64_t size) : file_(std::move(file)), size_(size) {}
  Result<void> write(uint64_t offset, Bytes data) override { return file_->write(offset, data); }
  Result<bool> zero(const Range& /*range*/) override { return true; }
  Result<void> finish(std::string_view /*descriptor*/) override {
    TRY(file_->resize(size_));
    return file_->sync();
  }

 private:
  const FilePtr file_;
  const uint64_t size_;
};

}  // namespace

Result<GrainLayout> plan_sparse(const NewSparse& sparse) {
  GrainLayout layout{.capacity = sparse.size,
                     .grain = sparse.grain,
                     .table_entries = kTableEntries,
                     .zeroed_grains = sparse.zeroed};
  layout.entries = div_up(layout.capacity, layout.span());
  const uint64_t tables =
      whole_sectors(layout.entries * sizeof(le32)) + layout.entries * layout.table_bytes();
  layout.redundant = kSector + (sparse.embedded ? kDescriptorSectors * kSector : 0);
  layout.directory = layout.redundant + tables;
  layout.first_grain = align_up(layout.directory + tables, layout.grain);
  // Sizes up to 2^63 keep the sums far below an overflow.
  if (fits(layout.first_grain, align_up(layout.capacity, layout.grain), kMaxFile)) return layout;
  return Error(Errc::invalid,
               fmt::format("a sparse extent of {}: its file would be larger than the {} that its "
                           "tables can name",
                           human_size(sparse.size), human_size(kMaxFile)));
}

std::unique_ptr<ExtentWriter> sparse_writer(FilePtr file, const NewSparse& sparse,
                                            const GrainLayout& layout) {
  return std::make_unique<SparseWriter>(std::move(file), sparse, layout);
}

std::unique_ptr<ExtentWriter> flat_writer(FilePtr file, uint64_t size) {
  return std::make_unique<FlatWriter>(std::move(file), size);
}

}  // namespace platter::vmdk
