#include "formats/vhd/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhd/geometry.h"
#include "tests/formats/vhd/vhd_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhd {
namespace {

using test::resize_vhd;
using test::VhdBuilder;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

VhdBuilder three_blocks() {
  VhdBuilder b{.blocks = {{.first = 10}, {.first = 20}, {.first = 30}}};
  return b.point({2, 0, 1});
}

void expect_sound(const FilePtr& file) {
  EXPECT_THAT(test::check_vhd(file).messages, IsEmpty());
  const auto image = test::open_vhd(file);
  ASSERT_TRUE(image);
  EXPECT_THAT((*image)->info().warnings, IsEmpty());
}

TEST(VhdGrow, UsesTheRoomTheTableHas) {
  VhdBuilder b = three_blocks();
  const auto file = b.file();
  ASSERT_TRUE(resize_vhd(file, 128 * test::kVhdBlock));
  EXPECT_EQ(test::vhd_word(*file, 512 + 28), 128u);
  EXPECT_EQ(test::vhd_word(*file, 1536), b.sector_of(2));  // nothing moved
  EXPECT_EQ(file->stat()->size, b.tail_at() + 512);
  const auto firsts = test::firsts_of_vhd(file, test::kVhdBlock);
  ASSERT_EQ(firsts.size(), 128u);
  EXPECT_THAT(std::vector<int>(firsts.begin(), firsts.begin() + 4), ElementsAre(30, 10, 20, 0));
  expect_sound(file);
}

TEST(VhdGrow, MovesTheBlocksBehindTheTable) {
  VhdBuilder b = three_blocks();
  const auto file = b.file();
  ASSERT_TRUE(resize_vhd(file, 129 * test::kVhdBlock));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 4), b.tail_at() / 512);  // the first one of the file
  EXPECT_EQ(test::vhd_word(*file, 1536), b.sector_of(2));
  const auto firsts = test::firsts_of_vhd(file, test::kVhdBlock);
  EXPECT_THAT(std::vector<int>(firsts.begin(), firsts.begin() + 4), ElementsAre(30, 10, 20, 0));
  EXPECT_THAT(std::vector<int>(firsts.begin() + 4, firsts.end()), Each(0));
  expect_sound(file);
}

TEST(VhdGrow, ClearsWhatTheLastBlockAndTheTableHaveBehindTheDisk) {
  VhdBuilder b = three_blocks();
  b.disk_size = test::kVhdBlock + 512;
  const auto file = b.file();
  ASSERT_TRUE(resize_vhd(file, 3 * test::kVhdBlock));
  const auto sectors = test::sectors_of_vhd(file);
  EXPECT_THAT(std::vector<int>(sectors.begin(), sectors.begin() + 9),
              ElementsAre(30, 31, 32, 33, 34, 35, 36, 37, 10));
  EXPECT_THAT(std::vector<int>(sectors.begin() + 9, sectors.end()), Each(0));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 8), VhdBuilder::kUnused);
}

TEST(VhdGrow, ADiskWithNothingInItGetsATableOfAnySize) {
  VhdBuilder b;
  b.point({-1});
  const auto file = b.file();
  ASSERT_TRUE(resize_vhd(file, uint64_t{40} * MiB));
  EXPECT_EQ(test::vhd_word(*file, 512 + 28), 10240u);
  EXPECT_EQ(file->stat()->size, 1536u + 4 * 10240 + 512);
  expect_sound(file);
}

TEST(VhdGrow, SaysTheSizeSoThatEveryReaderShowsIt) {
  for (const char* creator : {"qemu", "vpc ", "win "}) {
    VhdBuilder b{.creator = creator, .cylinders = 12, .heads = 1, .track = 1};
    b.disk_size = 12 * 512;
    b.point({-1, -1, -1});
    const auto file = b.file();
    ASSERT_TRUE(resize_vhd(file, 5 * MiB + 512));
    const auto footer = file->read_struct<Footer>(0);
    ASSERT_TRUE(footer);
    EXPECT_EQ(footer->current_size, 5 * MiB + 512);
    EXPECT_EQ(footer->original_size, 12 * 512u);
    EXPECT_EQ(is_largest(footer->geometry), std::string(creator) != "win ");
    const auto image = test::open_vhd(file);
    ASSERT_TRUE(image);
    EXPECT_EQ((*image)->size(), 5 * MiB + 512);
  }
}

TEST(VhdGrow, RefusesWhatNoVhdCanBe) {
  const auto file = three_blocks().file();
  const auto before = test::bytes_of_vhd(*file);
  for (const uint64_t size : {uint64_t{0xff000000} * 512 + 1, ~uint64_t{0}}) {
    const auto done = resize_vhd(file, size);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::invalid);
  }
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
}

TEST(VhdGrow, RefusesADifferencingDisk) {
  VhdBuilder b = three_blocks();
  b.type = 4;
  for (const uint64_t size : {test::kVhdBlock, 4 * test::kVhdBlock}) {
    const auto done = resize_vhd(b.file(), size);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::unsupported);
  }
}

TEST(VhdGrow, RefusesATableWithTheHeaderBehind) {
  VhdBuilder b;
  b.header_offset = 1024;
  b.table_offset = 512;
  b.data_offset = 2048;
  b.point({-1});
  const auto done = resize_vhd(b.file(), 200 * test::kVhdBlock);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::unsupported);
  EXPECT_TRUE(resize_vhd(b.file(), 100 * test::kVhdBlock));
}

TEST(VhdGrow, RefusesADamagedTable) {
  VhdBuilder b = three_blocks();
  b.table[1] = b.table[0];
  const auto file = b.file();
  const auto before = test::bytes_of_vhd(*file);
  EXPECT_FALSE(resize_vhd(file, 200 * test::kVhdBlock));
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
}

TEST(VhdCut, BlocksBehindTheEndAreGoneAndTheFileEndsEarlier) {
  VhdBuilder b = three_blocks();
  const auto file = b.file();
  ASSERT_TRUE(resize_vhd(file, 2 * test::kVhdBlock - 512));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 8), VhdBuilder::kUnused);
  EXPECT_EQ(test::sectors_of_vhd(file).size(), 15u);
  b.point({1, 0, -1});
  const auto other = b.file();
  ASSERT_TRUE(resize_vhd(other, test::kVhdBlock));
  EXPECT_EQ(other->stat()->size, b.tail_at() - b.stride() + 512);
  EXPECT_THAT(test::firsts_of_vhd(other, test::kVhdBlock), ElementsAre(20));
}

TEST(VhdCut, WhatWasCutDoesNotComeBack) {
  const auto file = three_blocks().file();
  ASSERT_TRUE(resize_vhd(file, 512));
  ASSERT_TRUE(resize_vhd(file, 3 * test::kVhdBlock));
  const auto sectors = test::sectors_of_vhd(file);
  EXPECT_EQ(sectors[0], 30);
  EXPECT_THAT(std::vector<int>(sectors.begin() + 1, sectors.end()), Each(0));
}

// What the disk is before, at any moment, or after; and what it was comes back no more.
void expect_old_or_new(const VhdBuilder& b, uint64_t size) {
  const auto before = test::sectors_of_vhd(b.file());
  auto after = before;
  after.resize(size / 512);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    const auto memory = std::make_shared<test::CrashFile>(*b.file());
    const auto look = [&](test::Call call) -> Result<void> {
      if (call == test::Call::read) return {};
      const auto crashed = memory->crash(random);
      const auto seen = test::sectors_of_vhd(crashed);
      EXPECT_TRUE(seen == before || seen == after);
      EXPECT_EQ(test::check_vhd(crashed).corruptions, 0u);
      return {};
    };
    ASSERT_TRUE(resize_vhd(std::make_shared<test::WrappedFile>(memory, look), size));
    EXPECT_EQ(test::sectors_of_vhd(memory->crash(random)), after);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

TEST(VhdGrow, LeavesTheOldDiskOrTheNewOneWhenPowerIsLost) {
  VhdBuilder b = three_blocks();
  b.disk_size = test::kVhdBlock + 512;
  for (const uint64_t blocks : {3u, 100u, 200u}) {
    ASSERT_NO_FATAL_FAILURE(expect_old_or_new(b, blocks * test::kVhdBlock));
  }
}

TEST(VhdCut, LeavesTheOldDiskOrTheNewOneWhenPowerIsLost) {
  for (const uint64_t sectors : {1u, 8u, 20u}) {
    ASSERT_NO_FATAL_FAILURE(expect_old_or_new(three_blocks(), sectors * 512));
  }
}

TEST(VhdFixed, IsTheOldDiskOrTheNewOneWhenPowerIsLost) {
  VhdBuilder b{.type = 2, .disk_size = 1536, .fixed = {1, 2, 3, 4, 5}};
  for (const uint64_t sectors : {1u, 4u, 5u, 9u}) {
    ASSERT_NO_FATAL_FAILURE(expect_old_or_new(b, sectors * 512));
  }
}

// What an earlier resize left need not be durable yet.
TEST(VhdGrow, ToTheSizeItHasIsDurable) {
  VhdBuilder fixed{.type = 2, .fixed = {1, 2, 3}};
  for (const VhdBuilder& b : {three_blocks(), fixed}) {
    const auto memory = std::make_shared<test::CrashFile>();
    ASSERT_TRUE(memory->write(0, b.build()));
    const uint64_t size = test::sectors_of_vhd(memory).size() * 512;
    ASSERT_TRUE(resize_vhd(memory, size));
    EXPECT_EQ(memory->unsynced(), 0u);
  }
}

TEST(VhdFixed, GrowsWithTheOldFooterGone) {
  for (const uint64_t length : {512u, 511u}) {
    VhdBuilder b{.type = 2, .fixed = {1, 2, 3}};
    b.file_size = b.tail_at() + length;
    const auto file = b.file();
    ASSERT_TRUE(resize_vhd(file, 6 * 512));
    EXPECT_THAT(test::sectors_of_vhd(file), ElementsAre(1, 2, 3, 0, 0, 0));
    EXPECT_EQ(file->stat()->size, 7u * 512);
    expect_sound(file);
  }
}

TEST(VhdFixed, GrowsIntoWhatTheFileHasBehindTheDisk) {
  VhdBuilder b{.type = 2, .disk_size = 512, .fixed = {1, 2, 3, 4, 5}};
  for (const uint64_t sectors : {3u, 5u, 6u, 9u}) {
    const auto file = b.file();
    ASSERT_TRUE(resize_vhd(file, sectors * 512));
    const auto seen = test::sectors_of_vhd(file);
    ASSERT_EQ(seen.size(), sectors);
    EXPECT_EQ(seen[0], 1);
    EXPECT_THAT(std::vector<int>(seen.begin() + 1, seen.end()), Each(0));
    EXPECT_EQ(file->stat()->size, sectors * 512 + 512);
    expect_sound(file);
  }
}

TEST(VhdFixed, IsCut) {
  VhdBuilder b{.type = 2, .fixed = {1, 2, 3, 4, 5}};
  const auto file = b.file();
  ASSERT_TRUE(resize_vhd(file, 2 * 512));
  EXPECT_THAT(test::sectors_of_vhd(file), ElementsAre(1, 2));
  EXPECT_EQ(file->stat()->size, 3u * 512);
  expect_sound(file);
}

TEST(VhdFixed, ThatIsNotWholeKeepsItsSize) {
  VhdBuilder b{.type = 2, .disk_size = 4096, .fixed = {1, 2, 3}};
  const auto done = resize_vhd(b.file(), 8192);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::corrupt);
}

}  // namespace
}  // namespace platter::vhd
