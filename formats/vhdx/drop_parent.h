// A child that has no parent any more.
#pragma once

#include "lib/io/file.h"

namespace platter::vhdx {

// Image::drop_parent(). A crash leaves a child, in which what it had nothing of may read as zeroes
// already where its BAT is longer than one change of the journal can be, or a disk without a
// parent.
Result<void> drop_parent(const FilePtr& file);

}  // namespace platter::vhdx
