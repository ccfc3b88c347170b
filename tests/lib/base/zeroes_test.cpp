#include "lib/base/zeroes.h"

#include <vector>

#include <gtest/gtest.h>

namespace platter {
namespace {

TEST(AllZero, HoldsForZeroesOfAnyLength) {
  for (size_t length = 0; length < 100; ++length) {
    EXPECT_TRUE(all_zero(std::vector<std::byte>(length))) << length;
  }
}

TEST(AllZero, FindsOneByteWhereverItIs) {
  for (size_t length = 1; length < 100; ++length) {
    for (size_t at = 0; at < length; ++at) {
      std::vector<std::byte> bytes(length);
      bytes[at] = std::byte{1};
      EXPECT_FALSE(all_zero(bytes)) << at << " of " << length;
    }
  }
}

}  // namespace
}  // namespace platter
