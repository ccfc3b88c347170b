#include "formats/vmdk/grain_scan.h"

#include <algorithm>
#include <cstring>

namespace platter::vmdk {
namespace {

// Reads tables; of those in one hole of the file only the first costs a call.
class TableReader {
 public:
  explicit TableReader(const File& file) : file_(file) {}

  Result<void> read(uint64_t at, std::span<le32> out) {
    const Range want{at, out.size_bytes()};
    if (!hole_.contains(want)) {
      const File::Run run = TRY(file_.run_at(at));
      hole_ = run.data ? Range{} : run.range;
    }
    if (!hole_.contains(want)) return file_.read_exact(at, std::as_writable_bytes(out));
    std::fill(out.begin(), out.end(), le32(0));
    return {};
  }

 private:
  const File& file_;
  Range hole_;
};

class Scanner {
 public:
  Scanner(const SparseHeader& header, GrainScan& scan) : layout_(header.layout), scan_(scan) {
    scan_.used.resize(div_up(scan_.file_size, layout_.grain));
    aligned_.resize(scan_.used.size());
    mark({0, std::min(layout_.first_grain, scan_.file_size)});
    for (const Range& range : scan_.places.ranges()) mark(range);
  }

  void look_at(const TablePair& pair, std::span<const le32> table, std::span<const le32> other) {
    const uint64_t first = pair.index * layout_.table_entries;
    for (size_t i = 0; i < table.size(); ++i) {
      if (table[i] == kNoGrain) continue;
      judge({.grain = first + i, .at = pair.table + i * sizeof(le32), .entry = table[i]});
    }
    if (!other.empty() && std::memcmp(table.data(), other.data(), table.size_bytes()) != 0) {
      scan_.stale.push_back(pair.index);
    }
  }

  // Grains that lie across blocks are compared when all others are known.
  void finish() {
    std::sort(across_.begin(), across_.end(), [](const GrainFault& a, const GrainFault& b) {
      return a.entry != b.entry ? a.entry < b.entry : a.grain < b.grain;
    });
    uint64_t end = 0;
    for (const GrainFault& grain : across_) {
      const uint64_t host = grain.entry * kSector;
      const uint64_t block = host / layout_.grain;
      const bool taken = (block < aligned_.size() && aligned_[block]) ||
                         (block + 1 < aligned_.size() && aligned_[block + 1]);
      if (taken || host < end) {
        note(grain, GrainFault::What::shared);
        continue;
      }
      end = host + layout_.grain;
    }
    for (const GrainFault& grain : across_) mark({grain.entry * kSector, layout_.grain});
  }

 private:
  void mark(const Range& range) {
    const uint64_t last = std::min<uint64_t>(div_up(range.end(), layout_.grain), scan_.used.size());
    for (uint64_t block = range.offset / layout_.grain; block < last; ++block) {
      scan_.used[block] = true;
    }
    if (!range.empty()) scan_.used_end = std::max(scan_.used_end, range.end());
  }

  void note(GrainFault fault, GrainFault::What what) {
    fault.what = what;
    ++scan_.fault_count;
    if (scan_.faults.size() < GrainScan::kMaxFaults) scan_.faults.push_back(fault);
  }

  void judge(const GrainFault& grain) {
    const auto kind = layout_.kind_of(grain.entry);
    if (kind == GrainLayout::Entry::zeroed) return;
    const Range place{grain.entry * kSector, layout_.grain};
    if (scan_.places.hold_any_of(place)) return note(grain, GrainFault::What::metadata);
    if (kind == GrainLayout::Entry::invalid) return note(grain, GrainFault::What::in_front);
    if (place.offset >= scan_.file_size) return note(grain, GrainFault::What::past_the_end);
    if (place.offset % layout_.grain != 0) {
      ++scan_.unaligned;
      across_.push_back(grain);
      return;
    }
    const uint64_t block = place.offset / layout_.grain;
    if (aligned_[block]) return note(grain, GrainFault::What::shared);
    aligned_[block] = true;
    mark(place);
  }

  const GrainLayout& layout_;
  GrainScan& scan_;
  std::vector<bool> aligned_;  // blocks that are a grain
  std::vector<GrainFault> across_;
};

}  // namespace

Result<void> for_each_table(const File& file, const SparseHeader& header, const TablePlaces& places,
                            const VisitTables& visit) {
  const size_t entries = header.layout.table_entries;
  std::vector<le32> table(entries), redundant(entries);
  TableReader tables(file), others(file);
  for (const TablePair& pair : places.pairs()) {
    if (pair.table == 0) continue;
    TRY(tables.read(pair.table, table));
    if (pair.redundant != 0) TRY(others.read(pair.redundant, redundant));
    const auto other = std::span<const le32>(redundant).first(pair.redundant != 0 ? entries : 0);
    TRY(visit(pair, table, other));
  }
  return {};
}

Result<GrainScan> scan_grains(const File& file, const SparseHeader& header) {
  GrainScan scan{.file_size = TRY(file.stat()).size,
                 .places = TRY(TablePlaces::find(file, header))};
  Scanner scanner(header, scan);
  TRY(for_each_table(file, header, scan.places,
                     [&](const TablePair& pair, std::span<const le32> table,
                         std::span<const le32> redundant) -> Result<void> {
                       scanner.look_at(pair, table, redundant);
                       return {};
                     }));
  scanner.finish();
  return scan;
}

}  // namespace platter::vmdk
