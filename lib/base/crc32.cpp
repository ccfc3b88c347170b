#include "lib/base/crc32.h"

#include <array>

#include <libdeflate.h>
#include <zlib.h>

namespace platter {

uint32_t crc32(Bytes bytes, uint32_t before) {
  // An empty span may have no address, which stands for something else there.
  if (bytes.empty()) return before;
  return libdeflate_crc32(before, bytes.data(), bytes.size());
}

uint32_t crc32_of_zeroes(uint64_t length, uint32_t before) {
  constexpr std::array<std::byte, 1> kOne = {};
  uLong all = before, power = crc32(kOne);
  // power: of size zeroes, a power of two.
  for (uint64_t size = 1; length >= size; size *= 2) {
    const auto n = static_cast<z_off_t>(size);
    if ((length & size) != 0) all = ::crc32_combine(all, power, n);
    power = ::crc32_combine(power, power, n);
  }
  return static_cast<uint32_t>(all);
}

}  // namespace platter
