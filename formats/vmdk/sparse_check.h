// The consistency of a sparse extent.
#pragma once

#include "formats/vmdk/sparse_header.h"
#include "lib/image/check.h"

namespace platter::vmdk {

// Looks through all tables. Repair::leaks: redundant tables that a crash left behind the others are
// written anew, and blocks that nobody uses go, the last grains taking their places; Errc::corrupt
// when there is more to do. Repair::all: directories and entries that cannot be right are mended
// first (grain_repair.h). Compressed extents are only looked at.
Result<void> check_sparse(File& file, const SparseHeader& header, Repair how, CheckReport& report);

}  // namespace platter::vmdk
