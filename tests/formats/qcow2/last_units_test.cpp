// Which clusters move: the last ones, and only as a whole. Which ones they move to: the first.
#include "formats/qcow2/last_units.h"

#include <gtest/gtest.h>

#include "formats/qcow2/free_runs.h"
#include "tests/formats/qcow2/check_image.h"

namespace platter::qcow2 {
namespace {

using Ends = std::vector<std::pair<uint64_t, uint64_t>>;

Ends taken(LastUnits& units) {
  Ends ends;
  for (const Unit& unit : units.take()) ends.emplace_back(unit.first, unit.last);
  return ends;
}

TEST(LastUnits, AreTheLastOfAllInDescendingOrder) {
  LastUnits units(0, 3);
  for (const uint64_t i : {5U, 1U, 9U, 3U, 8U, 2U, 7U, 4U, 6U, 0U}) units.add({i, i});
  const Ends last = taken(units);
  ASSERT_GE(last.size(), 3U);
  EXPECT_EQ(Ends(last.begin(), last.begin() + 3), (Ends{{9, 9}, {8, 8}, {7, 7}}));
}

TEST(LastUnits, OfStreamsThatShareAClusterAreOne) {
  LastUnits units(0, 100);
  units.add({4, 5});
  units.add({9, 9});
  units.add({5, 6});
  units.add({9, 9});
  units.add({7, 7});
  EXPECT_EQ(taken(units), (Ends{{9, 9}, {7, 7}, {4, 6}}));
}

TEST(LastUnits, DoNotBeginInsideWhatWasLeftOut) {
  LastUnits units(10, 100);
  units.add({10, 11});
  units.add({12, 12});
  units.add({9, 10});
  EXPECT_EQ(taken(units), (Ends{{12, 12}}));
}

TEST(LastUnits, DoNotBeginInsideWhatThereWasNoRoomFor) {
  LastUnits units(0, 2);
  for (const uint64_t i : {20U, 30U, 10U, 40U}) units.add({i, i + 1});
  // 10 and 20 are forgotten by now.
  units.add({21, 30});
  EXPECT_EQ(taken(units), (Ends{{40, 41}}));
}

TEST(LastUnits, ThatAreTwoThingsAtOnceStay) {
  LastUnits units(0, 100);
  units.add({4, 4, true});
  units.add({4, 5, false});
  units.add({8, 8, true});
  EXPECT_EQ(taken(units), (Ends{{8, 8}}));
}

// Clusters 0 to 5 and 9 of twelve are in use.
FreeRuns free_runs() {
  test::ImageBuilder b;
  b.put(2 * b.cs + 2 * 9, be16(1));
  b.bytes.resize(12 * b.cs);
  const FilePtr file = b.file();
  const auto header = *parse_header(*file);
  auto stored = *StoredRefcounts::load(*file, header, nullptr);
  return *FreeRuns::find(stored, 12);
}

TEST(FreeRuns, LieInFrontOfWhatIsInUse) {
  const FreeRuns free = free_runs();
  EXPECT_EQ(free.end(), 10U);
  EXPECT_EQ(free.used(), 7U);
  EXPECT_EQ(free.count_below(8), 2U);
  EXPECT_EQ(free.count_below(100), 3U);
}

TEST(FreeRuns, AreTakenFromTheFirstOneOnThatFits) {
  FreeRuns free = free_runs();
  EXPECT_EQ(free.take(4, 100), std::nullopt);
  EXPECT_EQ(free.take(2, 7), std::nullopt);
  EXPECT_EQ(free.take(2, 8), 6U);
  EXPECT_EQ(free.take(2, 100), std::nullopt);
  EXPECT_EQ(free.take(1, 8), std::nullopt);
  EXPECT_EQ(free.take(1, 100), 8U);
  EXPECT_EQ(free.take(1, 100), std::nullopt);
}

TEST(StoredRefcounts, KeepWhatWasSetWhileOthersAreReadAndWriteItBack) {
  test::ImageBuilder b;
  b.put64(b.cs + 8, 10 * b.cs);
  b.put(2 * b.cs + 2 * 10, be16(1));
  b.bytes.resize(11 * b.cs);
  const FilePtr file = b.file();
  const auto header = *parse_header(*file);
  auto stored = *StoredRefcounts::load(*file, header, nullptr);
  ASSERT_TRUE(stored.set(7, 3));
  // Of a block that is all zero so far.
  ASSERT_TRUE(stored.set(300, 5));
  EXPECT_EQ(*stored.get(300), 5U);
  EXPECT_EQ(*stored.get(7), 3U);
  ASSERT_TRUE(stored.write_back());
  EXPECT_EQ(*file->read_struct<be16>(2 * b.cs + 14), 3U);
  EXPECT_EQ(*file->read_struct<be16>(10 * b.cs + 2 * 44), 5U);
}

}  // namespace
}  // namespace platter::qcow2
