// RepeatCodec: a "compressed" unit is its first byte, over and over; 0xff stands for a broken one.
#pragma once

#include <algorithm>
#include <atomic>

#include "lib/image/extent.h"

namespace platter::test {

// Counts what it decodes. Thread safe.
class RepeatCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    ++decoded;
    if (stored.empty() || stored[0] == std::byte{0xff}) {
      return Error(Errc::corrupt, "compressed block: broken");
    }
    std::fill(unit.begin(), unit.end(), stored[0]);
    return {};
  }
  mutable std::atomic<int> decoded = 0;
};

}  // namespace platter::test
