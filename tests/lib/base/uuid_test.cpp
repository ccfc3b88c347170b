#include "lib/base/uuid.h"

#include <set>

#include <gtest/gtest.h>

namespace platter {
namespace {

constexpr std::string_view kText = "00112233-4455-6677-8899-aabbccddeeff";

TEST(Uuid, PrintsItsBytesInOrder) {
  Uuid uuid;
  for (size_t i = 0; i < 16; ++i) uuid.bytes[i] = static_cast<std::byte>(i * 0x11);
  EXPECT_EQ(uuid.to_string(), kText);
}

TEST(Uuid, ParsesWhatItPrints) {
  const auto uuid = Uuid::parse(kText);
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->to_string(), kText);
  EXPECT_EQ(Uuid::parse("00112233-4455-6677-8899-AABBCCDDEEFF"), uuid);
  EXPECT_EQ(Uuid::parse("{00112233-4455-6677-8899-aabbccddeeff}"), uuid);
}

TEST(Uuid, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "{}", "{", "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0", "00112233445566778899aabbccddeeff0000",
        "0011223344556-677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeefg",
        "{00112233-4455-6677-8899-aabbccddeeff"}) {
    EXPECT_FALSE(Uuid::parse(text)) << text;
  }
}

TEST(Uuid, ReversesTheFirstThreeGroupsInMicrosoftOrder) {
  const Uuid uuid = Uuid::parse(kText).value();
  const auto disk = uuid.to_microsoft();
  const std::array<unsigned, 16> expected = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                             0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(std::to_integer<unsigned>(disk[i]), expected[i]) << i;
  EXPECT_EQ(Uuid::from_microsoft(disk), uuid);
}

TEST(Uuid, IsNilOnlyWhenAllIsZero) {
  Uuid uuid;
  EXPECT_TRUE(uuid.is_nil());
  uuid.bytes[15] = std::byte{1};
  EXPECT_FALSE(uuid.is_nil());
}

TEST(Uuid, RandomOnesAreOfVersionFourAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string text = Uuid::random().to_string();
    EXPECT_EQ(text[14], '4') << text;
    EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;
    EXPECT_TRUE(seen.insert(text).second);
  }
}

}  // namespace
}  // namespace platter
