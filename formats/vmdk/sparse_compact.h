// The file of a sparse extent made as short as its grains allow.
#pragma once

#include "lib/base/progress.h"
#include "lib/io/file.h"

namespace platter::vmdk {

// Grains that read as zeroes become entries that say so or, in a child whose tables cannot say it
// (child: what is not in the extent is a parent's), holes of the host's file. The last grains of
// the file, tables and directories among them go into the gaps, and the file is cut. The extent is
// one that can be written. Errors and progress as of Image::compact().
Result<void> compact_sparse(File& file, bool child, Progress& progress);

}  // namespace platter::vmdk
