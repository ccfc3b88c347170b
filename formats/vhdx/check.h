// The consistency of a VHDX.
#pragma once

#include "formats/vhdx/block_scan.h"
#include "lib/image/check.h"

namespace platter::vhdx {

// What is wrong with headers, log, region tables and BAT, and what of the file nobody uses. shown:
// the file with its log replayed; header: of it. Time grows with the BAT.
Result<void> check_image(const File& shown, const Parsed& header, CheckReport& report);

// report: of check_image(); what is mended is no longer among its faults. Repair::leaks: the file
// is cut behind its last block, and what is free in front of that is given back to the host;
// Errc::corrupt when there is more to do. Repair::all: a header or a region table that is damaged
// becomes a copy of the other one, and a log that cannot be replayed is emptied. What is wrong in
// the BAT stays. Durable when it returns; a crash leaves nothing worse than it was.
Result<void> repair(File& file, const Parsed& header, Repair how, CheckReport& report);

}  // namespace platter::vhdx
