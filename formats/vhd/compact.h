// The file of a VHD made as short as its blocks allow.
#pragma once

#include "lib/base/progress.h"
#include "lib/io/file.h"

namespace platter::vhd {

// Of a dynamic or differencing disk. Blocks of a dynamic disk that read as zeroes, and those of a
// differencing one that have nothing of their own, become nobody's; the last blocks of the file go
// into the gaps, and the file is cut. Errors and progress as of Image::compact().
Result<void> compact(File& file, Progress& progress);

}  // namespace platter::vhd
