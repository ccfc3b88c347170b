// Blocks that change their places in the file, and the writes to header and map behind it.
#pragma once

#include <span>
#include <vector>

#include "formats/vdi/map_scan.h"

namespace platter::vdi {

struct Move {
  uint64_t entry = 0;         // of the map, which points at from
  uint32_t from = 0, to = 0;  // numbers of blocks; to: nobody's, and no other move's from
};

// What brings every block below the number of blocks in use: those behind go into the gaps, in the
// order of the disk. in_use: all that the map points at.
Result<std::vector<Move>> moves_into_gaps(const File& file, const Parsed& header,
                                          const BlocksInUse& in_use);

// On return every entry points at its block's new place, durably. A crash leaves each at the old
// place or at the new one, whole in both. What was written to the file before is durable before an
// entry changes.
Result<void> move_blocks(File& file, const Parsed& header, std::span<const Move> moves);

// The header's count of blocks. Not durable before a sync.
Result<void> write_count(File& file, uint64_t count);

}  // namespace platter::vdi
