#include "lib/ops/compare.h"

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/memory_container.h"

namespace platter {
namespace {

using test::MemoryDisk;
using test::pattern;

constexpr uint64_t kSize = 9 * MiB + 1000;

std::shared_ptr<MemoryFile> patterned(uint64_t size = kSize) {
  auto file = std::make_shared<MemoryFile>("disk");
  EXPECT_TRUE(file->write(0, pattern(0, size, 1)));
  return file;
}

CompareReport compared(const std::shared_ptr<MemoryFile>& a, const std::shared_ptr<MemoryFile>& b,
                       bool strict = false) {
  const MemoryDisk first = test::memory_disk(a), second = test::memory_disk(b);
  NoProgress progress;
  const auto report =
      compare({.a = first.view, .b = second.view, .strict = strict, .threads = 2}, progress);
  EXPECT_TRUE(report) << report.error().message();
  return report ? *report : CompareReport{};
}

TEST(Compare, FindsEqualDisksTheSame) {
  const CompareReport report = compared(patterned(), patterned());
  EXPECT_EQ(report.first_difference, std::nullopt);
  EXPECT_FALSE(report.sizes_differ);
}

TEST(Compare, FindsTheFirstByteThatDiffersWhereverItIs) {
  for (const uint64_t at : {uint64_t{0}, 2 * MiB - 1, 2 * MiB, 5 * MiB + 77, kSize - 1}) {
    const auto other = patterned();
    for (const uint64_t wrong : {at, kSize - 1}) {
      const std::vector<std::byte> byte = {~test::pattern_at(wrong, 1)};
      ASSERT_TRUE(other->write(wrong, byte));
    }
    EXPECT_EQ(compared(patterned(), other).first_difference, at);
    EXPECT_EQ(compared(other, patterned()).first_difference, at);
  }
}

TEST(Compare, TakesAHoleForZeroes) {
  auto hole = std::make_shared<MemoryFile>("hole");
  ASSERT_TRUE(hole->resize(kSize));
  auto stored = std::make_shared<MemoryFile>("stored");
  ASSERT_TRUE(stored->write(0, std::vector<std::byte>(kSize)));
  EXPECT_EQ(compared(hole, stored).first_difference, std::nullopt);
  ASSERT_TRUE(stored->write(4 * MiB + 3, test::bytes_of("x")));
  EXPECT_EQ(compared(hole, stored).first_difference, 4 * MiB + 3);
}

TEST(Compare, TakesALongerDiskForTheSameWhenTheRestIsZero) {
  const auto longer = patterned();
  ASSERT_TRUE(longer->resize(kSize + 5 * MiB));
  const CompareReport report = compared(patterned(), longer);
  EXPECT_EQ(report.first_difference, std::nullopt);
  EXPECT_TRUE(report.sizes_differ);
}

TEST(Compare, FindsWhatIsNotZeroBehindTheEndOfTheShorter) {
  const auto longer = patterned();
  ASSERT_TRUE(longer->write(kSize + 3 * MiB, test::bytes_of("x")));
  EXPECT_EQ(compared(patterned(), longer).first_difference, kSize + 3 * MiB);
  EXPECT_EQ(compared(longer, patterned()).first_difference, kSize + 3 * MiB);
}

TEST(Compare, FindsDisksOfDifferentSizesDifferentWhenStrict) {
  const auto longer = patterned();
  ASSERT_TRUE(longer->resize(kSize + 1));
  EXPECT_EQ(compared(patterned(), longer, true).first_difference, kSize);
  EXPECT_EQ(compared(patterned(), patterned(), true).first_difference, std::nullopt);
}

}  // namespace
}  // namespace platter
