#include "formats/vmdk/grain_repair.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/grain_moves.h"

namespace platter::vmdk {
namespace {

constexpr std::byte kUnclean{1}, kClean{0};

Result<void> write_mark(File& file, std::byte mark) {
  return file.write(offsetof(RawSparseHeader, unclean), Bytes(&mark, 1));
}

Result<void> write_entry(File& file, uint64_t at, uint64_t value) {
  return file.write(at, as_bytes_of(le32(static_cast<uint32_t>(value))));
}

struct NewTable {
  uint64_t entry = 0;   // where the directory has it, bytes
  uint64_t sector = 0;  // where it is
};

// Directories that get tables they lack, behind everything in the file.
class Directories {
 public:
  Directories(File& file, const SparseHeader& header, const GrainScan& scan)
      : file_(file), layout_(header.layout), scan_(scan) {}

  Result<void> mend() {
    end_ = align_up(std::max(scan_.file_size, scan_.used_end), layout_.grain);
    for (const TablePair& pair : scan_.places.pairs()) {
      if (pair.table == 0) TRY(make(layout_.directory, pair.index, pair.redundant));
      if (layout_.redundant != 0 && pair.redundant == 0) {
        TRY(make(layout_.redundant, pair.index, pair.table));
      }
    }
    TRY(file_.sync());
    for (const NewTable& made : made_) TRY(write_entry(file_, made.entry, made.sector));
    return {};
  }

 private:
  // A copy of from, or an empty one where that is 0; the entry is written when all are there.
  Result<void> make(uint64_t directory, uint64_t index, uint64_t from) {
    std::vector<std::byte> table(layout_.table_bytes());
    if (from != 0) TRY(file_.read_exact(from, table));
    if (end_ / kSector > 0xffffffff) {
      return Error(Errc::no_space, "the file is too long for another grain table");
    }
    TRY(file_.write(end_, table));
    made_.push_back({directory + index * sizeof(le32), end_ / kSector});
    end_ += align_up(table.size(), kSector);
    return {};
  }

  File& file_;
  const GrainLayout& layout_;
  const GrainScan& scan_;
  uint64_t end_ = 0;
  std::vector<NewTable> made_;
};

// What the redundant table has instead, if nobody uses that.
Result<uint32_t> other_entry(const File& file, const SparseHeader& header, const GrainScan& scan,
                             const GrainFault& fault) {
  const GrainLayout& layout = header.layout;
  const uint64_t index = fault.grain / layout.table_entries;
  const auto& pairs = scan.places.pairs();
  const auto pair = std::lower_bound(pairs.begin(), pairs.end(), index,
                                     [](const TablePair& p, uint64_t i) { return p.index < i; });
  if (pair == pairs.end() || pair->index != index || pair->redundant == 0) return kNoGrain;
  const uint64_t at = pair->redundant + (fault.at - pair->table);
  const uint32_t entry = TRY(file.read_struct<le32>(at));
  const auto kind = layout.kind_of(entry);
  if (kind == GrainLayout::Entry::zeroed) return entry;
  const uint64_t host = entry * kSector;
  const bool free = kind == GrainLayout::Entry::grain && host % layout.grain == 0 &&
                    host < scan.file_size && !scan.used[host / layout.grain] &&
                    !scan.places.hold_any_of({host, layout.grain});
  return free ? entry : kNoGrain;
}

Result<void> mend_entries(File& file, const SparseHeader& header, GrainScan& scan) {
  for (const GrainFault& fault : scan.faults) {
    // It may be the header that is wrong.
    if (fault.what == GrainFault::What::in_front) continue;
    const uint32_t entry = TRY(other_entry(file, header, scan, fault));
    if (entry * kSector >= header.layout.first_grain) {
      scan.used[entry * kSector / header.layout.grain] = true;
    }
    TRY(write_entry(file, fault.at, entry));
  }
  return {};
}

Result<void> write_redundant(File& file, const SparseHeader& header, const TablePlaces& places) {
  return for_each_table(file, header, places,
                        [&](const TablePair& pair, std::span<const le32> table,
                            std::span<const le32> redundant) -> Result<void> {
                          if (redundant.empty() ||
                              std::ranges::equal(std::as_bytes(table), std::as_bytes(redundant))) {
                            return {};
                          }
                          return file.write(pair.redundant, std::as_bytes(table));
                        });
}

// Whether a writer that was cut off can have left it so, and nothing else has to be wrong.
bool from_a_crash(const SparseHeader& header, const GrainScan& scan) {
  if (!header.layout.unclean) return false;
  for (const DirectoryFault& fault : scan.places.faults()) {
    if (fault.entry != 0) return false;
  }
  for (const GrainFault& fault : scan.faults) {
    if (fault.what != GrainFault::What::past_the_end) return false;
  }
  return scan.faults.size() == scan.fault_count;
}

}  // namespace

Result<void> mark_unclean(File& file) {
  TRY(write_mark(file, kUnclean));
  return file.sync();
}

Result<void> clear_unclean(File& file) { return write_mark(file, kClean); }

Result<void> mend_tables(File& file, const SparseHeader& header) {
  TRY(mark_unclean(file));
  GrainScan scan = TRY(scan_grains(file, header));
  if (!scan.places.faults().empty()) {
    TRY(Directories(file, header, scan).mend());
    scan = TRY(scan_grains(file, header));
  }
  for (uint64_t before = scan.fault_count + 1; scan.fault_count < before;) {
    before = scan.fault_count;
    TRY(mend_entries(file, header, scan));
    if (before > scan.faults.size()) scan = TRY(scan_grains(file, header));
  }
  return write_redundant(file, header, scan.places);
}

Result<GrainScan> sound_scan(File& file, const SparseHeader& header) {
  GrainScan scan = TRY(scan_grains(file, header));
  if (!scan.sound() && from_a_crash(header, scan)) {
    TRY(mend_tables(file, header));
    scan = TRY(scan_grains(file, header));
    scan.mended = true;
  }
  if (scan.sound()) return scan;
  return Error(Errc::corrupt,
               fmt::format("grain tables: {} entries cannot be right, {} redundant tables are not "
                           "the same: repair it before changing it",
                           scan.fault_count + scan.places.faults().size(), scan.stale.size()));
}

Result<void> close_gaps(File& file, const SparseHeader& header) {
  GrainScan scan = TRY(scan_grains(file, header));
  const std::vector<GrainMove> moves = TRY(moves_into_gaps(file, header, scan));
  TRY(move_grains(file, header.layout.grain, moves));
  return cut_behind_grains(file, header);
}

}  // namespace platter::vmdk
