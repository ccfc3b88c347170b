// Blocks that change their places in the file.
#pragma once

#include <vector>

#include "formats/vhd/table_scan.h"

namespace platter::vhd {

struct Move {
  BlockAt from;
  uint64_t to = 0;  // bytes, a multiple of a sector; in front of the footer, and nobody's
};

// On return every entry points at its block's new place, durably. A crash leaves each at the old
// place or at the new one, whole in both. What was written to the file before is durable before an
// entry changes.
Result<void> move_blocks(File& file, const Parsed& parsed, const std::vector<Move>& moves);

// These entries of the table are free from here on; not durable before a sync.
Result<void> free_entries(File& file, const Parsed& parsed, uint64_t first, uint64_t end);

}  // namespace platter::vhd
