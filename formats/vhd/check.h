// The consistency of a VHD.
#pragma once

#include "formats/vhd/parse.h"
#include "lib/image/check.h"

namespace platter::vhd {

// Looks, and mends what it finds; both add to the report. Repair::leaks: space that nobody uses
// goes, the last blocks of the file taking its place; Errc::corrupt when there is more to do.
// Repair::all: entries of the table that cannot be right become free first, footers and checksums
// are put right, and room is made for a block that is cut. A crash leaves nothing worse than it
// was. Time and memory grow with the table and the blocks that move.
Result<void> check_dynamic(File& file, const Parsed& parsed, Repair how, CheckReport& report);

// A disk that its file has not all of cannot be mended.
Result<void> check_fixed(File& file, const Parsed& parsed, Repair how, CheckReport& report);

}  // namespace platter::vhd
