// The bitmap in front of a block: a bit a sector, the highest bit of a byte first.
#pragma once

#include "formats/vhd/layout.h"

namespace platter::vhd {

// From sector `from` on, up to sector `to`: how many have the same bit as the first, and which.
// bitmap: begins with the byte of sector `base`, a multiple of 8, and reaches up to `to`.
struct SectorRun {
  bool set = false;
  uint64_t count = 0;
};
SectorRun run_of(Bytes bitmap, uint64_t base, uint64_t from, uint64_t to);

// The bits of these sectors of the bitmap's, counted from its first.
void set_bits(MutableBytes bitmap, uint64_t from, uint64_t to);

}  // namespace platter::vhd
