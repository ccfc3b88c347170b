// A VDI's file made as short as its blocks allow.
#pragma once

#include "lib/base/progress.h"
#include "lib/io/file.h"

namespace platter::vdi {

// Blocks that read as zeroes become entries that say so, the last blocks of the file go into the
// gaps, and the file is cut. The UUIDs stay: whatever was made over this disk fits it as before.
// Errors and progress as of Image::compact().
Result<void> compact(File& file, Progress& progress);

}  // namespace platter::vdi
