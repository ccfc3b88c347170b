// Long runs of one byte.
#pragma once

#include "lib/io/file.h"

namespace platter::vhd {

// Writes this byte over the range, in pieces; not durable before a sync.
Result<void> fill_range(File& file, Range range, std::byte value);

}  // namespace platter::vhd
