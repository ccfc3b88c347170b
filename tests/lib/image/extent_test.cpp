#include "lib/image/extent.h"

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"

namespace platter {
namespace {

using Kind = Extent::Kind;

TEST(Extent, ClippedDataMovesItsHostOffsetAlong) {
  const Extent e{.guest = {100, 50}, .kind = Kind::data, .host = 7000};
  const Extent cut = e.clipped({110, 20});
  EXPECT_EQ(cut.guest, (Range{110, 20}));
  EXPECT_EQ(cut.host, 7010U);
  EXPECT_EQ(e.clipped({0, 1000}).host, 7000U);
}

TEST(Extent, ClippedEncodedKeepsItsUnitAndItsStoredBytes) {
  const Extent e{
      .guest = {100, 50}, .kind = Kind::encoded, .host = 7000, .stored = 9, .unit = {100, 50}};
  const Extent cut = e.clipped({110, 20});
  EXPECT_EQ(cut.guest, (Range{110, 20}));
  EXPECT_EQ(cut.host, 7000U);
  EXPECT_EQ(cut.unit, (Range{100, 50}));
}

TEST(Extent, ContinuesWhereGuestAndHostBothGoOn) {
  MemoryFile file;
  MemoryFile other;
  const Extent a{.guest = {0, 10}, .kind = Kind::data, .file = &file, .host = 500};
  Extent b{.guest = {10, 10}, .kind = Kind::data, .file = &file, .host = 510};
  EXPECT_TRUE(a.continues_with(b));
  b.host = 511;
  EXPECT_FALSE(a.continues_with(b));
  b.host = 510;
  b.file = &other;
  EXPECT_FALSE(a.continues_with(b));
  b.file = &file;
  b.guest.offset = 11;
  EXPECT_FALSE(a.continues_with(b));
}

TEST(Extent, HolesContinueWhateverTheirHostOffset) {
  const Extent a{.guest = {0, 10}, .kind = Kind::zero, .host = 1};
  const Extent b{.guest = {10, 10}, .kind = Kind::zero, .host = 99};
  EXPECT_TRUE(a.continues_with(b));
  EXPECT_FALSE(a.continues_with(Extent{.guest = {10, 10}}));
}

TEST(Extent, EncodedNeverContinues) {
  const Extent a{.guest = {0, 10}, .kind = Kind::encoded, .unit = {0, 10}};
  const Extent b{.guest = {10, 10}, .kind = Kind::encoded, .unit = {10, 10}};
  EXPECT_FALSE(a.continues_with(b));
}

}  // namespace
}  // namespace platter
