// The names a differencing VHD has for its parent.
#pragma once

#include <vector>

#include "formats/vhd/parse.h"
#include "lib/image/image.h"

namespace platter::vhd {

// What a header says of its parent, the likeliest name first. Paths are Windows' or a Mac's: what
// is relative stays so, of what is absolute the last part is left.
ParentLink parent_of(const Parsed& parsed);

// The same the other way round: sets the header's name, ids and time, and gives the text of its one
// locator (empty: the parent is known by its id alone, and the header has none). The locator's
// place is not set. Errc::invalid: a VHD cannot name this parent.
Result<std::vector<std::byte>> name_parent(const ParentLink& parent, DynamicHeader& header);
// Puts its one locator there. offset: bytes.
void place_locator(DynamicHeader& header, uint64_t offset, uint64_t length);

// What a locator of this length takes in the file, bytes.
constexpr uint64_t locator_space(uint64_t length) { return align_up(length, kSector); }

}  // namespace platter::vhd
