// The footer at the end of a VHD with a dynamic header, and its copy at the start.
#pragma once

#include "formats/vhd/parse.h"

namespace platter::vhd {

// On return a footer stands at the end of the file and at a sector, durably, and its copy at the
// start is the same. Gives where it stands, bytes. Writes nothing when that is so already.
Result<uint64_t> mend_footers(File& file, const Parsed& parsed);

// Puts another footer over the one at tail, and its copy at the start, durably. A power cut leaves
// the old disk or the new one: the footer at the end is the one that counts.
Result<void> replace_footer(File& file, const Footer& footer, uint64_t tail);

// Puts the footer farther behind, durably, before anything may be written over the old one.
Result<void> move_footer_back(File& file, const Footer& footer, uint64_t tail);
// Cuts the file at tail, once the footer is durable there; nothing from there on is in use. The cut
// is not durable before a sync: a crash that undoes it leaks.
Result<void> cut_behind(File& file, const Footer& footer, uint64_t tail);

}  // namespace platter::vhd
