#include "lib/base/checked.h"

#include <gtest/gtest.h>

namespace platter {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

TEST(CheckedAdd, IsEmptyOnOverflow) {
  EXPECT_EQ(checked_add(1, 2), 3U);
  EXPECT_EQ(checked_add(kMax, 0), kMax);
  EXPECT_EQ(checked_add(kMax - 1, 1), kMax);
  EXPECT_EQ(checked_add(kMax, 1), std::nullopt);
}

TEST(CheckedMul, IsEmptyOnOverflow) {
  EXPECT_EQ(checked_mul(3, 4), 12U);
  EXPECT_EQ(checked_mul(kMax, 0), 0U);
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, uint64_t{1} << 31), uint64_t{1} << 63);
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
}

TEST(DivUp, RoundsUpWithoutOverflow) {
  EXPECT_EQ(div_up(0, 512), 0U);
  EXPECT_EQ(div_up(1, 512), 1U);
  EXPECT_EQ(div_up(512, 512), 1U);
  EXPECT_EQ(div_up(513, 512), 2U);
  EXPECT_EQ(div_up(kMax, kMax), 1U);
  EXPECT_EQ(div_up(kMax, 2), uint64_t{1} << 63);
}

TEST(Fits, TellsWhatLiesInside) {
  EXPECT_TRUE(fits(0, 10, 10));
  EXPECT_TRUE(fits(10, 0, 10));
  EXPECT_FALSE(fits(10, 1, 10));
  EXPECT_FALSE(fits(11, 0, 10));
  EXPECT_FALSE(fits(5, 6, 10));
}

TEST(Fits, DoesNotWrapAround) {
  EXPECT_FALSE(fits(kMax, 2, kMax));
  EXPECT_FALSE(fits(2, kMax, kMax));
  EXPECT_TRUE(fits(kMax - 1, 1, kMax));
}

}  // namespace
}  // namespace platter
