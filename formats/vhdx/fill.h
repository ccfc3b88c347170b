// Bytes that are to be zero.
#pragma once

#include "lib/io/file.h"

namespace platter::vhdx {

// By a hole where the host can do that; not durable before a sync.
Result<void> zero_range(File& file, const Range& range);

}  // namespace platter::vhdx
