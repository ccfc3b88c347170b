// CRC-32 as zlib, GPT and Apple's disk images have it (polynomial 0xedb88320, reflected).
#pragma once

#include <cstdint>

#include "lib/base/range.h"

namespace platter {

// before: of the bytes in front of these. Thread safe.
uint32_t crc32(Bytes bytes, uint32_t before = 0);

// The same of so many zero bytes, at most 2^62; takes no longer for many than for few.
uint32_t crc32_of_zeroes(uint64_t length, uint32_t before = 0);

}  // namespace platter
