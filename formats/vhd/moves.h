// Blocks that change their places in the file.
#pragma once

#include <span>
#include <vector>

#include "formats/vhd/table_scan.h"

namespace platter::vhd {

struct Move {
  BlockAt from;
  uint64_t to = 0;  // bytes, a multiple of a sector; in front of the footer, and nobody's
};

// The last blocks of the file go into its gaps, in the order of the disk, until there is none in
// front of a block.
std::vector<Move> moves_into_gaps(const TableScan& scan, uint64_t stride);

// On return every entry points at its block's new place, durably. A crash leaves each at the old
// place or at the new one, whole in both. What was written to the file before is durable before an
// entry changes.
Result<void> move_blocks(File& file, const Parsed& parsed, std::span<const Move> moves);

// These entries of the table are free from here on; not durable before a sync.
Result<void> free_entries(File& file, const Parsed& parsed, uint64_t first, uint64_t end);

}  // namespace platter::vhd
