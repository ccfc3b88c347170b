#include "lib/image/stored_name.h"

#include <gtest/gtest.h>

#include "tests/support/bytes.h"

namespace platter {
namespace {

Result<std::string> name(std::string_view stored) {
  return stored_name("name", test::bytes_of(stored));
}

TEST(StoredName, IsWhatIsThere) {
  EXPECT_EQ(*name("base.raw"), "base.raw");
  EXPECT_EQ(*name(""), "");
}

TEST(StoredName, LosesTheNulsAtItsEnd) {
  using namespace std::string_view_literals;
  EXPECT_EQ(*name("a\0\0"sv), "a");
  EXPECT_EQ(*name("\0\0"sv), "");
}

TEST(StoredName, WithANulInItIsCorrupt) {
  using namespace std::string_view_literals;
  const auto bad = name("a\0b"sv);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), Errc::corrupt);
  EXPECT_EQ(bad.error().message(), "name: has a NUL byte in it");
}

}  // namespace
}  // namespace platter
