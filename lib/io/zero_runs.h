// Whether a part of a file holds anything but zeroes.
#pragma once

#include "lib/io/file.h"

namespace platter {

// Holes are not read, and of data no more than it takes to find another byte. What lies past the
// end of the file counts as zeroes.
Result<bool> reads_as_zeroes(const File& file, const Range& range);

}  // namespace platter
