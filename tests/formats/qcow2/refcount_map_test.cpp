#include "formats/qcow2/refcount_map.h"

#include <gtest/gtest.h>

namespace platter::qcow2 {
namespace {

TEST(PackedCounts, OfEveryWidthAreKeptApart) {
  for (uint32_t order = 0; order <= 6; ++order) {
    std::vector<std::byte> counts((64U << order) / 8);
    for (uint64_t i = 0; i < 64; ++i) set_packed_count(counts, order, i, i & max_count(order));
    for (uint64_t i = 0; i < 64; ++i) {
      EXPECT_EQ(packed_count(counts, order, i), i & max_count(order)) << order << ", " << i;
    }
  }
}

TEST(PackedCounts, StandInTheFileAsTheSpecificationSays) {
  std::vector<std::byte> counts(8);
  set_packed_count(counts, 0, 3, 1);
  EXPECT_EQ(counts[0], std::byte{0x08});
  set_packed_count(counts, 1, 5, 2);
  EXPECT_EQ(counts[1], std::byte{0x08});
  set_packed_count(counts, 2, 5, 0xa);
  EXPECT_EQ(counts[2], std::byte{0xa0});
  set_packed_count(counts, 4, 3, 0x1234);
  EXPECT_EQ(counts[6], std::byte{0x12});
  EXPECT_EQ(counts[7], std::byte{0x34});
}

TEST(RefcountMap, CountsFromOneToTheMost) {
  RefcountMap map(1 * MiB);
  map.start(0, 100);
  uint64_t sum = 0;
  for (const uint64_t add : {1ULL, 1ULL, 1ULL, 10ULL, 100ULL, 1ULL << 20, 1ULL << 40, 1ULL << 63}) {
    map.add(7, add, Pointer::other);
    sum += add;
    EXPECT_EQ(map.count(7), sum);
  }
  map.add(7, ~uint64_t{0}, Pointer::other);
  EXPECT_EQ(map.count(7), ~uint64_t{0});
  EXPECT_EQ(map.count(6), 0U);
  EXPECT_EQ(map.count(8), 0U);
}

TEST(RefcountMap, KnowsWhichPointersThereWere) {
  RefcountMap map(1 * MiB);
  map.start(0, 1'000'000);
  // More of each kind than are kept as exceptions, in runs whose first has any kind.
  const auto kind_of = [](uint64_t i) {
    if (i / 50'000 % 2 == 0) return i % 1000 == 3 ? Pointer::plain : Pointer::copied;
    return i % 3 == 0 ? Pointer::copied : i % 3 == 1 ? Pointer::plain : Pointer::other;
  };
  for (uint64_t i = 0; i < 200'000; ++i) map.add(i, 1, kind_of(i));
  for (uint64_t i = 0; i < 200'000; ++i) {
    ASSERT_EQ(map.has(i, Pointer::copied), kind_of(i) == Pointer::copied) << i;
    ASSERT_EQ(map.has(i, Pointer::plain), kind_of(i) == Pointer::plain) << i;
  }
  EXPECT_FALSE(map.has(200'000, Pointer::copied));
  map.add(0, 1, Pointer::other);
  EXPECT_TRUE(map.has(0, Pointer::copied));
  map.add(0, 1, Pointer::plain);
  EXPECT_TRUE(map.has(0, Pointer::copied));
  EXPECT_TRUE(map.has(0, Pointer::plain));
}

TEST(RefcountMap, MakesItsWindowSmallerThanItsMemory) {
  RefcountMap map(100 * KiB);
  uint64_t counted = 0, windows = 0;
  for (uint64_t first = 0; first < 2'000'000; first = map.last(), ++windows) {
    map.start(first, 2'000'000);
    for (uint64_t i = 2'000'000; i-- > 0;) map.add(i, 1 + i % 2, Pointer::copied);
    ASSERT_GT(map.last(), first);
    for (uint64_t i = map.first(); i < map.last(); ++i) counted += map.count(i) == 1 + i % 2;
  }
  EXPECT_EQ(counted, 2'000'000U);
  EXPECT_GT(windows, 3U);
  EXPECT_LT(windows, 20U);
}

TEST(RefcountMap, SkipsWhereNothingIs) {
  RefcountMap map(1 * MiB);
  map.start(0, uint64_t{1} << 50);
  map.add(uint64_t{1} << 40, 1, Pointer::other);
  EXPECT_EQ(map.next_used(0, uint64_t{1} << 50), uint64_t{1} << 40);
  EXPECT_EQ(map.next_used(0, 1000), 1000U);
  EXPECT_EQ(map.next_used(uint64_t{1} << 41, uint64_t{1} << 50), uint64_t{1} << 50);
}

}  // namespace
}  // namespace platter::qcow2
