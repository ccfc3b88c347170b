// Grains that change their places in the file.
#pragma once

#include <span>

#include "formats/vmdk/grain_scan.h"

namespace platter::vmdk {

struct GrainMove {
  uint64_t from = 0, to = 0;          // bytes of the file; to: nobody's
  uint64_t entry = 0, redundant = 0;  // where it is pointed at, bytes; redundant 0: nowhere
};

// The last grains of the file go into blocks that nobody uses, in the order of the disk, until
// there is none in front of a grain. What does not begin at a block stays. scan: the extent is
// sound; what it says of used blocks is out of date afterwards.
Result<std::vector<GrainMove>> moves_into_gaps(const File& file, const SparseHeader& header,
                                               GrainScan& scan);

// On return the entries point at the new places, durably. A crash leaves each at the old place or
// at the new one, whole in both; with two tables, one at each, for which the extent is marked
// unclean. What was written to the file before is durable before an entry changes.
Result<void> move_grains(File& file, uint64_t grain, std::span<const GrainMove> moves);

// Cuts off what nobody uses; durable with the file's next sync.
Result<void> cut_behind_grains(File& file, const SparseHeader& header);

}  // namespace platter::vmdk
