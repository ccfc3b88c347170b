// CRC-32C: the checksum with Castagnoli's polynomial.
#pragma once

#include <cstdint>

#include "lib/base/range.h"

namespace platter {

// RFC 3720, section 12.1. before: the checksum of what comes in front of bytes, 0 for nothing.
// Thread safe.
uint32_t crc32c(Bytes bytes, uint32_t before = 0);

}  // namespace platter
