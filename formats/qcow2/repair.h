// What mends a qcow2 image.
#pragma once

#include "formats/qcow2/check_census.h"

namespace platter::qcow2 {

// found: by scan_image() of the file as it is, in report. how is not Repair::none.
//
// Repair::leaks lowers refcounts and then sets COPIED flags right. Errc::corrupt, with nothing
// changed, when something else is wrong.
//
// Repair::all, in this order, each step durable before the next:
// 1. the snapshot table ends in front of the entry that cannot be followed; bitmaps that cannot be
//    followed are no longer valid;
// 2. entries that point where nothing can be let go of it, reserved bits are cleared. A table that
//    something else is in, too, is not changed;
// 3. refcounts of pointers as they now are, in new blocks behind the end of the file; one write of
//    the header switches to them. So two owners of a cluster share it until one is written to;
// 4. an L1 table that shares its clusters moves, for it is changed in place;
// 5. leaks, COPIED flags; and when nothing is left, the dirty and corrupt bits.
// What was cut off or cannot be followed may hold clusters: then no refcount gets lower.
// A crash leaves the image no worse than it was. On return report says what is left.
Result<void> repair_image(File& file, const Findings& found, Repair how, CheckReport& report);

}  // namespace platter::qcow2
