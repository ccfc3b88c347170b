#include "lib/container/cache_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace platter {
namespace {

using Parts = CacheLines::Parts;
using testing::ElementsAre;
using testing::IsEmpty;

Range piece(uint64_t n, uint64_t count = 1) { return {n * kCachePiece, count * kCachePiece}; }

// "guest piece+count" of each.
std::vector<std::string> names(const Parts& parts) {
  std::vector<std::string> out;
  for (const CacheLines::Part& part : parts) {
    out.push_back(std::to_string(part.guest / kCachePiece) + "+" + std::to_string(part.count));
  }
  return out;
}

class CacheLinesTest : public testing::Test {
 protected:
  void keep(const Range& range) { lines_.filled(lines_.begin_fill(range), true); }
  bool has(const Range& range) {
    const CacheLines::Found found = lines_.hold(range);
    lines_.release(found.parts);
    uint64_t length = 0;
    for (const CacheLines::Part& part : found.parts) length += part.range().length;
    return length == range.length;
  }
  CacheLines lines_{3, {}};
};

TEST_F(CacheLinesTest, FindsThePiecesAtTheStartOrHowManyAreNotThere) {
  keep(piece(2, 4));  // of two lines
  CacheLines::Found found = lines_.hold(piece(2, 10));
  EXPECT_THAT(names(found.parts), ElementsAre("2+2", "4+2"));
  EXPECT_EQ(found.parts[0].first, 2U);
  EXPECT_EQ(found.parts[1].first, 0U);
  lines_.release(found.parts);
  found = lines_.hold(piece(0, 10));
  EXPECT_THAT(found.parts, IsEmpty());
  EXPECT_EQ(found.missing, 2 * kCachePiece);
  EXPECT_EQ(lines_.hold(piece(6, 100)).missing, 100 * kCachePiece);
}

TEST_F(CacheLinesTest, ShowsNothingThatIsNotFilledYet) {
  const Parts parts = lines_.begin_fill(piece(0, 2));
  EXPECT_FALSE(has(piece(0)));
  // Somebody else is at it.
  EXPECT_THAT(names(lines_.begin_fill(piece(0, 3))), ElementsAre("2+1"));
  lines_.filled(parts, true);
  EXPECT_TRUE(has(piece(0, 2)));
  EXPECT_FALSE(has(piece(2)));
}

TEST_F(CacheLinesTest, KeepsNothingOfAFillThatFailed) {
  lines_.filled(lines_.begin_fill(piece(0, 12)), false);
  EXPECT_FALSE(has(piece(0)));
  EXPECT_EQ(lines_.use().lines, 0U);
  keep(piece(0, 12));
  EXPECT_TRUE(has(piece(0, 12)));
}

TEST_F(CacheLinesTest, GivesUpWhatWasUsedTheLongestAgo) {
  keep(piece(0));
  keep(piece(4));
  keep(piece(8));
  EXPECT_TRUE(has(piece(0)));
  keep(piece(12));
  EXPECT_TRUE(has(piece(0)));
  EXPECT_FALSE(has(piece(4)));
  EXPECT_TRUE(has(piece(8)));
  EXPECT_EQ(lines_.use().evicted, 1U);
}

TEST_F(CacheLinesTest, TakesNoSlotThatSomebodyIsAt) {
  keep(piece(0));
  const CacheLines::Found held = lines_.hold(piece(0));
  const Parts filling = lines_.begin_fill(piece(4));
  EXPECT_EQ(lines_.begin_fill(piece(8, 8)).size(), 1U);
  EXPECT_THAT(lines_.begin_fill(piece(16)), IsEmpty());
  lines_.release(held.parts);
  EXPECT_EQ(lines_.begin_fill(piece(16)).size(), 1U);
}

TEST_F(CacheLinesTest, ForgetsWhatIsBeingChangedAndTakesNothingOfItMeanwhile) {
  keep(piece(0, 8));
  const CacheLines::Found held = lines_.hold(piece(4));
  const Parts before = lines_.begin_fill(piece(8));
  {
    CacheLines::Change change(lines_, {3 * kCachePiece + 5, 6 * kCachePiece});
    EXPECT_TRUE(has(piece(0, 3)));
    EXPECT_FALSE(has(piece(3)));
    EXPECT_FALSE(has(piece(4)));
    EXPECT_THAT(lines_.begin_fill(piece(9)), IsEmpty());
    EXPECT_EQ(lines_.begin_fill(piece(2)).size(), 0U);  // it is there
    lines_.filled(before, true);
    EXPECT_FALSE(has(piece(8)));
  }
  EXPECT_FALSE(has(piece(8)));
  // What was looked at lies where it was until nobody looks any more.
  const Parts after = lines_.begin_fill(piece(4));
  ASSERT_EQ(after.size(), 1U);
  EXPECT_NE(after[0].slot, held.parts[0].slot);
  lines_.release(held.parts);
  lines_.filled(after, true);
  EXPECT_TRUE(has(piece(4)));
}

TEST_F(CacheLinesTest, TakesNewBytesOfWhatItHadFromWhoChangesItAlone) {
  keep(piece(0));
  {
    CacheLines::Change change(lines_, piece(0, 2));
    lines_.filled(change.begin_fill(piece(0, 2)), true);
  }
  EXPECT_TRUE(has(piece(0, 2)));
  {
    CacheLines::Change change(lines_, piece(4));
    EXPECT_THAT(change.begin_fill(piece(4)), IsEmpty()) << "nothing of it was there";
  }
  {
    CacheLines::Change first(lines_, piece(0));
    CacheLines::Change second(lines_, piece(0));
    EXPECT_THAT(first.begin_fill(piece(0)), IsEmpty());
    EXPECT_THAT(second.begin_fill(piece(0)), IsEmpty());
  }
  keep(piece(0));
  {
    CacheLines::Change first(lines_, piece(0));
    const Parts parts = first.begin_fill(piece(0));
    EXPECT_EQ(parts.size(), 1U);
    { const CacheLines::Change second(lines_, piece(0)); }
    lines_.filled(parts, true);
  }
  EXPECT_FALSE(has(piece(0))) << "the second one's bytes are newer";
}

TEST_F(CacheLinesTest, ForgetsAllFromSomewhereOn) {
  keep(piece(0, 12));
  lines_.forget({5 * kCachePiece + 1, kMaxOffset - 5 * kCachePiece - 1});
  EXPECT_TRUE(has(piece(0, 5)));
  EXPECT_FALSE(has(piece(5)));
  EXPECT_EQ(lines_.use().lines, 2U);
}

TEST_F(CacheLinesTest, AreWhatTheyWereAfterTheyWereTaken) {
  keep(piece(0));
  keep(piece(5, 2));
  keep(piece(8, 4));
  EXPECT_TRUE(has(piece(0)));
  const std::vector<CachedLine> taken = lines_.take();
  ASSERT_EQ(taken.size(), 3U);
  EXPECT_LT(taken[0].age, taken[2].age);
  EXPECT_EQ(taken[2].guest, 0U);
  EXPECT_EQ(taken[0].pieces, 0x6);
  CacheLines again(3, taken);
  again.filled(again.begin_fill(piece(20)), true);
  EXPECT_THAT(again.hold(piece(5)).parts, IsEmpty()) << "the oldest gives way";
  EXPECT_EQ(again.hold(piece(8, 4)).parts.size(), 1U);
  EXPECT_EQ(again.hold(piece(0)).parts.size(), 1U);
}

}  // namespace
}  // namespace platter
