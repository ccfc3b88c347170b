#include "lib/base/endian.h"

#include <array>

#include <gtest/gtest.h>

namespace platter {
namespace {

template <class T>
std::vector<unsigned> bytes_of(const T& value) {
  std::vector<unsigned> out;
  for (const std::byte b : as_bytes_of(value)) out.push_back(std::to_integer<unsigned>(b));
  return out;
}

struct Mixed {
  be16 first;
  le32 second;
  std::array<std::byte, 1> third;
  be64 fourth;
};
static_assert(DiskStruct<Mixed> && sizeof(Mixed) == 15);

TEST(DiskInt, LiesInItsOwnOrder) {
  EXPECT_EQ(bytes_of(le16(0x1234)), (std::vector<unsigned>{0x34, 0x12}));
  EXPECT_EQ(bytes_of(be16(0x1234)), (std::vector<unsigned>{0x12, 0x34}));
  EXPECT_EQ(bytes_of(le32(0x12345678)), (std::vector<unsigned>{0x78, 0x56, 0x34, 0x12}));
  EXPECT_EQ(bytes_of(be32(0x12345678)), (std::vector<unsigned>{0x12, 0x34, 0x56, 0x78}));
  EXPECT_EQ(bytes_of(le64(0x0102030405060708)), (std::vector<unsigned>{8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(bytes_of(be64(0x0102030405060708)), (std::vector<unsigned>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(DiskInt, ConvertsBackToTheSameNumber) {
  EXPECT_EQ(be32(0xdeadbeef), 0xdeadbeefU);
  EXPECT_EQ(le64(0xfedcba9876543210), 0xfedcba9876543210U);
  EXPECT_EQ(be16(), 0);
}

TEST(DiskStruct, IsReadFromAnyAddress) {
  std::array<std::byte, 17> raw{};
  raw[2] = std::byte{0x12};
  raw[3] = std::byte{0x34};
  raw[4] = std::byte{0x01};
  raw[8] = std::byte{0x7f};
  raw[16] = std::byte{0x09};
  const auto value = load<Mixed>(raw, 2);
  EXPECT_EQ(value.first, 0x1234);
  EXPECT_EQ(value.second, 1U);
  EXPECT_EQ(value.third[0], std::byte{0x7f});
  EXPECT_EQ(value.fourth, 9U);
}

TEST(DiskStruct, IsStoredAsItLies) {
  std::array<std::byte, 6> raw{};
  store(raw, 1, be32(0x01020304));
  const std::array<std::byte, 6> expected{std::byte{0}, std::byte{1}, std::byte{2},
                                          std::byte{3}, std::byte{4}, std::byte{0}};
  EXPECT_EQ(raw, expected);
}

TEST(SwapBytes, ReversesThem) {
  EXPECT_EQ(swap_bytes(uint16_t{0x1234}), 0x3412);
  EXPECT_EQ(swap_bytes(uint64_t{1}), uint64_t{1} << 56);
}

}  // namespace
}  // namespace platter
