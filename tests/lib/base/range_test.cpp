#include "lib/base/range.h"

#include <gtest/gtest.h>

namespace platter {
namespace {

TEST(Range, KnowsItsEnd) {
  EXPECT_EQ((Range{10, 5}).end(), 15U);
  EXPECT_TRUE((Range{10, 0}).empty());
  EXPECT_FALSE((Range{10, 1}).empty());
}

TEST(Range, ContainsPointsFromItsStartToBeforeItsEnd) {
  const Range r{10, 5};
  EXPECT_FALSE(r.contains(uint64_t{9}));
  EXPECT_TRUE(r.contains(uint64_t{10}));
  EXPECT_TRUE(r.contains(uint64_t{14}));
  EXPECT_FALSE(r.contains(uint64_t{15}));
  EXPECT_FALSE((Range{10, 0}).contains(uint64_t{10}));
}

TEST(Range, ContainsRangesThatLieWhollyInside) {
  const Range r{10, 5};
  EXPECT_TRUE(r.contains(Range{10, 5}));
  EXPECT_TRUE(r.contains(Range{12, 3}));
  EXPECT_TRUE(r.contains(Range{15, 0}));
  EXPECT_FALSE(r.contains(Range{12, 4}));
  EXPECT_FALSE(r.contains(Range{9, 2}));
}

TEST(Range, DoesNotContainOneWhoseEndWouldOverflow) {
  EXPECT_FALSE((Range{10, 5}).contains(Range{12, UINT64_MAX}));
  EXPECT_FALSE((Range{10, 5}).contains(Range{UINT64_MAX, 2}));
}

TEST(Intersect, IsWhatBothShare) {
  EXPECT_EQ(intersect({0, 10}, {5, 10}), (Range{5, 5}));
  EXPECT_EQ(intersect({5, 10}, {0, 10}), (Range{5, 5}));
  EXPECT_EQ(intersect({0, 100}, {20, 10}), (Range{20, 10}));
}

TEST(Intersect, IsEmptyAtTheLargerOffsetWhenNothingIsShared) {
  EXPECT_EQ(intersect({0, 10}, {10, 5}), (Range{10, 0}));
  EXPECT_EQ(intersect({0, 10}, {50, 5}), (Range{50, 0}));
}

TEST(Align, RoundsToUnits) {
  EXPECT_EQ(align_down(4095, 4096), 0U);
  EXPECT_EQ(align_down(4096, 4096), 4096U);
  EXPECT_EQ(align_up(0, 4096), 0U);
  EXPECT_EQ(align_up(1, 4096), 4096U);
  EXPECT_EQ(align_up(4096, 4096), 4096U);
  EXPECT_EQ(align_up(kMaxOffset, 4096), uint64_t{1} << 63);
}

TEST(Align, WidensARangeToWholeUnits) {
  EXPECT_EQ(align_out({5, 1}, 8), (Range{0, 8}));
  EXPECT_EQ(align_out({7, 2}, 8), (Range{0, 16}));
  EXPECT_EQ(align_out({8, 8}, 8), (Range{8, 8}));
}

}  // namespace
}  // namespace platter
