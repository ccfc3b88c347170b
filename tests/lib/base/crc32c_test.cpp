#include "lib/base/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

namespace platter {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, IsThatOfTheRfcsExamples) {
  std::vector<uint8_t> bytes(32);
  EXPECT_EQ(crc32c(std::as_bytes(std::span(bytes))), 0x8a9136aau);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  EXPECT_EQ(crc32c(std::as_bytes(std::span(bytes))), 0x46dd794eu);
  std::fill(bytes.begin(), bytes.end(), uint8_t{0xff});
  EXPECT_EQ(crc32c(std::as_bytes(std::span(bytes))), 0x62a8ab43u);
}

TEST(Crc32c, OfNoBytesIsWhatItWasBefore) {
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c({}, 0x12345678), 0x12345678u);
}

TEST(Crc32c, GoesOnFromThePartBefore) {
  constexpr std::string_view kText = "123456789";
  const Bytes bytes = std::as_bytes(std::span(kText));
  ASSERT_EQ(crc32c(bytes), 0xe3069283u);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    EXPECT_EQ(crc32c(bytes.subspan(n), crc32c(bytes.first(n))), 0xe3069283u) << n;
  }
}

}  // namespace
}  // namespace platter
