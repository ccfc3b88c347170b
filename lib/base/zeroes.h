// Is there anything but zeroes?
#pragma once

#include <algorithm>
#include <cstring>

#include "lib/base/range.h"

namespace platter {

// Compares the bytes with themselves, shifted: memcmp is the fastest loop the host has.
inline bool all_zero(Bytes bytes) {
  constexpr size_t kHead = 16;
  const std::byte* data = bytes.data();
  const size_t head = std::min(kHead, bytes.size());
  for (size_t i = 0; i < head; ++i) {
    if (data[i] != std::byte{0}) return false;
  }
  return bytes.size() <= kHead || std::memcmp(data, data + kHead, bytes.size() - kHead) == 0;
}

}  // namespace platter
