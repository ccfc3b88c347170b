// A VDI made larger.
#pragma once

#include "formats/vdi/parse.h"

namespace platter::vdi {

// size: of the disk, bytes; rounded up to whole sectors. header: what is in the file now. The new
// part reads as zeroes, whatever a parent has behind the last block. The first blocks of the file
// move to its end when the larger map needs their place. On return it is durable; a crash leaves
// the disk with the old size or the new one. Errc::unsupported: a static image, or a smaller size;
// corrupt: the map has faults; invalid: no VDI can be that large.
Result<void> resize(File& file, const Parsed& header, uint64_t size);

}  // namespace platter::vdi
