// What blocks of every state map to, and which entries are refused when they are used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/vhdx_builder.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;
using testing::HasSubstr;
using Kind = Extent::Kind;

Result<Extent> map_in(const VhdxBuilder& builder, const Range& want) {
  const auto image = TRY(test::open_vhdx(builder.file()));
  Extent extent = TRY(image->map(want));
  EXPECT_TRUE(extent.guest.contains(want.offset));
  extent.file = nullptr;  // it is gone by now
  return extent;
}

std::string fault_in(const VhdxBuilder& builder, uint64_t at) {
  const auto extent = map_in(builder, {at, 1});
  if (extent) return "";
  EXPECT_EQ(extent.error().code(), Errc::corrupt);
  return extent.error().message();
}

VhdxBuilder child() { return {.parameters = 2, .locator = {{"relative_path", ".\\base.vhdx"}}}; }

TEST(VhdxMap, HasAKindForEachState) {
  const std::pair<uint64_t, Kind> kinds[] = {{0, Kind::absent}, {1, Kind::zero}, {2, Kind::zero},
                                             {3, Kind::zero},   {5, Kind::zero}, {6, Kind::data}};
  for (const VhdxBuilder& empty : {VhdxBuilder{}, child()}) {
    for (const auto& [state, kind] : kinds) {
      VhdxBuilder builder = empty;
      // A place that is kept for the block says nothing of its contents.
      builder.put_block(1, 0, 0x10, state);
      const auto extent = map_in(builder, {MiB + 5, 1});
      ASSERT_TRUE(extent) << extent.error().message();
      EXPECT_EQ(extent->kind, kind) << state;
      EXPECT_EQ(extent->guest, (Range{MiB, MiB}));
      EXPECT_EQ(extent->host, kind == Kind::data ? kData : 0);
    }
  }
}

TEST(VhdxMap, RefusesTheStateThatNobodyDefined) {
  VhdxBuilder builder{.bat = {{0, kData | 4}}};
  EXPECT_EQ(fault_in(builder, 0), "BAT: block 0 is in state 4");
  EXPECT_EQ(fault_in(builder, MiB), "");
}

TEST(VhdxMap, RefusesAPartialBlockWithoutAParentOrABitmap) {
  VhdxBuilder builder;
  builder.put_block(0, 0, 1, 7);
  EXPECT_THAT(fault_in(builder, 0), HasSubstr("in a disk without a parent"));
  VhdxBuilder over = child();
  over.put_block(0, 0, 1, 7);
  EXPECT_THAT(fault_in(over, 0), HasSubstr("the sector bitmap of chunk 0 is missing"));
  for (const uint64_t place : {uint64_t{0}, VhdxBuilder::kBat, 100 * MiB, ~(MiB - 1)}) {
    over.bat[4096] = place | 6;
    EXPECT_THAT(fault_in(over, 0), HasSubstr("the sector bitmap of chunk 0 cannot be at"));
  }
}

TEST(VhdxMap, RefusesABlockAtAPlaceThatCannotBeOne) {
  VhdxBuilder builder{.file_size = kData + MiB};
  for (const uint64_t place :
       {uint64_t{0}, VhdxBuilder::kLog, VhdxBuilder::kMetadata, VhdxBuilder::kBat}) {
    builder.bat[0] = place | 6;
    EXPECT_THAT(fault_in(builder, 0), HasSubstr("BAT: block 0 points at the image's own tables"));
  }
  for (const uint64_t place : {kData + MiB, 100 * MiB, ~(MiB - 1), uint64_t{1} << 62}) {
    builder.bat[0] = place | 6;
    EXPECT_EQ(fault_in(builder, 0), "BAT: block 0 points past the end of the file");
  }
  // A block that reaches into a table behind it.
  builder.block_size = 2 << 20;
  builder.regions.push_back({"12345678-1234-4234-8234-123456789abc", kData + MiB, 1 << 20, 0});
  builder.bat[0] = kData | 6;
  EXPECT_THAT(fault_in(builder, 0), HasSubstr("the image's own tables"));
}

TEST(VhdxMap, JoinsBlocksThatFollowOneAnotherInTheFile) {
  VhdxBuilder builder{.disk_size = 8 * MiB};
  for (const uint64_t block : {0U, 1U, 2U}) builder.put_block(block, block, 0x10);
  builder.put_block(3, 5, 0x20);
  const auto extent = map_in(builder, {5, 8 * MiB - 5});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->guest, (Range{0, 3 * MiB}));
  EXPECT_EQ((*map_in(builder, {4 * MiB, MiB})).guest, (Range{4 * MiB, MiB}));
  EXPECT_EQ((*map_in(builder, {4 * MiB, 4 * MiB})).guest, (Range{4 * MiB, 4 * MiB}));
}

TEST(VhdxMap, StepsOverTheEntriesOfBitmaps) {
  // 4096 blocks of 1 MiB a chunk.
  VhdxBuilder builder{.disk_size = 5000 * MiB};
  builder.put_block(4095, 0, 0x10);
  builder.put_block(4097, 1, 0x20);
  const auto last = map_in(builder, {4095 * MiB, 10 * MiB});
  ASSERT_TRUE(last);
  EXPECT_EQ(last->guest, (Range{4095 * MiB, MiB}));
  EXPECT_EQ(last->host, kData);
  const auto next = map_in(builder, {4096 * MiB, 1});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->host, kData + MiB);
}

TEST(VhdxMap, EndsWithTheDiskAndWithTheFile) {
  VhdxBuilder builder{.disk_size = MiB + 512 * KiB};
  builder.put_block(1, 0, 0x10);
  builder.file_size = kData + 100 * KiB;
  EXPECT_EQ((*map_in(builder, {MiB, 1})).guest, (Range{MiB, 100 * KiB}));
  const auto rest = map_in(builder, {MiB + 200 * KiB, 1});
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->kind, Kind::zero);
  EXPECT_EQ(rest->guest, (Range{MiB + 100 * KiB, 412 * KiB}));
}

TEST(VhdxMap, TakesTheLowestBitOfABitmapFirst) {
  VhdxBuilder builder = child();
  builder.put_block(1, 0, 0x10, 7);
  builder.bat[4096] = (kData + MiB) | 6;
  // Sectors 3, and 8 to 17, of the second block, whose bits begin at 256.
  builder.bytes[kData + MiB + 256] = {std::byte{0x08}, std::byte{0xff}, std::byte{0x03}};
  const auto at = [&](uint64_t sector) {
    return *map_in(builder, {MiB + 512 * sector + 100, MiB - 512 * sector - 100});
  };
  EXPECT_EQ(at(0).kind, Kind::absent);
  EXPECT_EQ(at(0).guest, (Range{MiB, 3 * 512}));
  EXPECT_EQ(at(3).kind, Kind::data);
  EXPECT_EQ(at(3).guest, (Range{MiB + 3 * 512, 512}));
  EXPECT_EQ(at(3).host, kData + 3 * 512);
  EXPECT_EQ(at(4).guest, (Range{MiB + 4 * 512, 4 * 512}));
  EXPECT_EQ(at(9).guest, (Range{MiB + 9 * 512, 9 * 512}));
  EXPECT_EQ(at(18).guest, (Range{MiB + 18 * 512, (2048 - 18) * 512}));
}

TEST(VhdxMap, CountsBitsInSectorsOfTheDisksSize) {
  VhdxBuilder builder = child();
  builder.sector_size = 4096;
  builder.put_block(0, 0, 0x10, 7);
  // 32768 blocks of 1 MiB a chunk.
  builder.bat[32768] = (kData + MiB) | 6;
  builder.bytes[kData + MiB] = {std::byte{0x02}};
  EXPECT_EQ((*map_in(builder, {0, MiB})).guest, (Range{0, 4096}));
  const auto extent = map_in(builder, {4097, MiB - 4097});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->kind, Kind::data);
  EXPECT_EQ(extent->guest, (Range{4096, 4096}));
}

TEST(VhdxMap, FindsTheBitmapOfALaterChunk) {
  VhdxBuilder builder = child();
  builder.disk_size = 9000 * MiB;
  builder.put_block(2 * 4097 + 1, 0, 0x10, 7);
  builder.bat[3 * 4097 - 1] = (kData + MiB) | 6;
  builder.bytes[kData + MiB + 256] = {std::byte{0x01}};
  const auto extent = map_in(builder, {8193 * MiB, MiB});
  ASSERT_TRUE(extent) << extent.error().message();
  EXPECT_EQ(extent->kind, Kind::data);
  EXPECT_EQ(extent->guest.length, 512u);
}

TEST(VhdxMap, RefusesABitmapPastTheEndOfTheFile) {
  VhdxBuilder builder = child();
  builder.disk_size = 40 * MiB;
  builder.put_block(0, 0, 0x10, 7);
  builder.put_block(32, 1, 0x10, 7);
  builder.bat[4096] = (kData + 2 * MiB) | 6;
  builder.file_size = kData + 2 * MiB + 4096;
  EXPECT_EQ(fault_in(builder, 0), "");
  EXPECT_EQ(fault_in(builder, 32 * MiB), "sector bitmap: block 32 is past the end of the file");
}

TEST(VhdxImage, OfTheLargestSizeOpensWithoutReadingItsBat) {
  VhdxBuilder builder{.disk_size = 64 * 1024 * GiB};
  const uint64_t entries = 64 * MiB + 16 * 1024;
  builder.regions[1].length = static_cast<uint32_t>(align_up(8 * entries, MiB));
  builder.bat[64 * MiB + 16 * 1024 - 2] = (600 * MiB) | 6;
  builder.data.push_back({600 * MiB, MiB, 0x33});
  const auto image = test::open_vhdx(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  const auto extent = (*image)->map({64 * 1024 * GiB - 1, 1});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->kind, Kind::data);
  EXPECT_EQ(extent->host, 600 * MiB);
}

}  // namespace
}  // namespace platter::vhdx
