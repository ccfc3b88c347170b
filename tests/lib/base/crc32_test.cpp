#include "lib/base/crc32.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/bytes.h"

namespace platter {
namespace {

TEST(Crc32, HasThePublishedCheckValue) {
  EXPECT_EQ(crc32(test::bytes_of("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
}

TEST(Crc32, GoesOnWhereItStopped) {
  const uint32_t before = crc32(test::bytes_of("1234"));
  EXPECT_EQ(crc32(test::bytes_of("56789"), before), 0xcbf43926U);
  EXPECT_EQ(crc32({}, before), before);
}

TEST(Crc32, OfZeroesIsThatOfTheBytes) {
  for (const uint32_t before : {0U, 0xcbf43926U}) {
    for (const size_t length : {0U, 1U, 2U, 3U, 511U, 512U, 65535U, 100001U}) {
      EXPECT_EQ(crc32_of_zeroes(length, before), crc32(std::vector<std::byte>(length), before))
          << length;
    }
  }
}

TEST(Crc32, OfMoreZeroesThanAnybodyHasIsQuick) {
  // Half and half.
  const uint64_t half = uint64_t{1} << 61;
  EXPECT_EQ(crc32_of_zeroes(2 * half), crc32_of_zeroes(half, crc32_of_zeroes(half)));
}

}  // namespace
}  // namespace platter
