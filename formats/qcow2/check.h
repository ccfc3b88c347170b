// The consistency of a qcow2 image.
#pragma once

#include "formats/qcow2/check_census.h"
#include "lib/image/check.h"

namespace platter::qcow2 {

// Counts every pointer of the image and compares that with its refcounts and flags; then mends
// what repair says. The errors of opening the image where its header or L1 table cannot be right.
// Memory: at most 64 MiB, 48 where the image is not made to need more, whatever its size. Time: one
// or more passes over its L1 and L2 tables and refcount blocks (Census); a repair is up to five
// such rounds. Reads everything before it writes anything.
//
// Repair::leaks: refcounts that are too high get lower. Errc::corrupt, with nothing changed, when
// there is more to do than that. Repair::all: repair.h.
Result<void> check_image(File& file, Repair repair, CheckReport& report);

// Only looks. file is not changed.
Result<void> scan_image(File& file, const CheckedImage& image, Findings& findings);

}  // namespace platter::qcow2
