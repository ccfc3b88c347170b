// One pass over all tables of a sparse extent: who uses which part of its file.
#pragma once

#include <functional>
#include <vector>

#include "formats/vmdk/table_places.h"

namespace platter::vmdk {

// An entry of a grain table that cannot be right.
struct GrainFault {
  enum class What : unsigned char {
    past_the_end,  // of the file: power was lost, or it was cut
    metadata,      // points at it
    in_front,      // of the first grain, as the header has it; over nothing that is known
    shared,        // an earlier entry has the grain
  };
  uint64_t grain = 0;  // of the extent
  uint64_t at = 0;     // where the entry is in the file, bytes
  uint32_t entry = 0;
  What what = What::past_the_end;
};

struct GrainScan {
  static constexpr size_t kMaxFaults = size_t{1} << 20;

  uint64_t file_size = 0;  // bytes, at that time
  TablePlaces places;
  std::vector<GrainFault> faults;  // the first kMaxFaults
  uint64_t fault_count = 0;
  // Redundant tables, by index, that do not say what the others do.
  std::vector<uint64_t> stale;
  // Grains that do not begin at a multiple of their size.
  uint64_t unaligned = 0;
  // The file in blocks of a grain's size: whether something uses it.
  std::vector<bool> used;
  uint64_t used_end = 0;  // bytes; nothing behind it is in use

  bool mended = false;  // by sound_scan()

  bool sound() const { return fault_count == 0 && places.faults().empty() && stale.empty(); }
};

// Holes of the file and tables that are missing cost nothing. Memory: a bit a block of the file,
// and some words a table.
Result<GrainScan> scan_grains(const File& file, const SparseHeader& header);

// The tables of an extent, one pair after the other; where redundant is missing, its span is empty.
using VisitTables = std::function<Result<void>(const TablePair& pair, std::span<const le32> table,
                                               std::span<const le32> redundant)>;
Result<void> for_each_table(const File& file, const SparseHeader& header, const TablePlaces& places,
                            const VisitTables& visit);

}  // namespace platter::vmdk
