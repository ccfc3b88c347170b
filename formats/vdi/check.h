// The consistency of a VDI.
#pragma once

#include "formats/vdi/map_scan.h"
#include "lib/image/check.h"

namespace platter::vdi {

// What is wrong with the map and the header's count.
void report_faults(const Parsed& header, const MapScan& scan, CheckReport& report);

// report: of report_faults(); what it has as faults is mended when this returns.
// Repair::leaks: blocks that nobody uses go, the last blocks of the file taking their places;
// Errc::corrupt when there is more to do. Repair::all: entries that point outside, or at a block of
// an earlier entry, become free first. A crash leaves nothing worse than it was. Time and memory
// grow with the map and the blocks that move.
Result<void> repair(File& file, const Parsed& header, Repair how, CheckReport& report);

}  // namespace platter::vdi
