// A disk that grows where it is, into another BAT, behind a parent's end; and one that is cut.
#include "formats/vhdx/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/hand_made_image.h"

namespace platter::vhdx {
namespace {

using test::vhdx_entry;
using test::VhdxBuilder;
using test::VhdxDisk;
using testing::HasSubstr;

Result<void> resize_to(const FilePtr& file, uint64_t size) {
  Epochs epochs;
  const ImagePtr image = TRY(test::open_writable_vhdx(file, epochs));
  Result<void> done = image->resize(size);
  EXPECT_TRUE(!done || image->size() == align_up(size, 512));
  return done;
}

TEST(VhdxResize, AddsBlocksOfZeroes) {
  VhdxBuilder builder{.disk_size = 2 * MiB};
  builder.put_block(1, 0, 0x10);
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 4 * MiB - 1000));
  EXPECT_EQ(vhdx_entry(*file, 1), kData | 6);
  EXPECT_EQ(vhdx_entry(*file, 2), 2u);
  EXPECT_EQ(vhdx_entry(*file, 3), 2u);
  EXPECT_EQ(vhdx_entry(*file, 4), 0u);
  const auto bytes = test::vhdx_contents(file);
  ASSERT_EQ(bytes.size(), 4 * MiB - 512);
  EXPECT_EQ(bytes[MiB], std::byte{0x10});
  EXPECT_EQ(bytes[2 * MiB], std::byte{0});
}

TEST(VhdxResize, ChangesTheDataWriteGuid) {
  const VhdxBuilder builder;
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 8 * MiB));
  EXPECT_NE(read_headers(*file)->current.data_write, builder.data_write);
  EXPECT_TRUE(read_headers(*file)->current.log.is_nil());
}

TEST(VhdxResize, LeavesAnEmptyLogDurably) {
  const auto start = VhdxBuilder{}.file();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(*start);
    ASSERT_TRUE(resize(file, *parse_for_change(*file), 8 * MiB));
    EXPECT_TRUE(read_headers(*file->crash(random))->current.log.is_nil());
  }
}

TEST(VhdxResize, ClearsWhatTheLastBlockHasBehindTheDisk) {
  VhdxBuilder builder{.disk_size = MiB + 512};
  builder.put_block(1, 0, 0x10);
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 2 * MiB));
  const auto bytes = test::vhdx_contents(file);
  EXPECT_EQ(bytes[MiB], std::byte{0x10});
  for (uint64_t at = MiB + 512; at < 2 * MiB; ++at) ASSERT_EQ(bytes[at], std::byte{0}) << at;
}

TEST(VhdxResize, HidesAParentBehindTheEndOfAPartialBlock) {
  test::HandMadeImage parent("parent", 4 * MiB);
  const std::vector<std::byte> full(4 * MiB, std::byte{0xee});
  parent.data(0, full, 0);
  VhdxBuilder builder{.parameters = 2, .disk_size = MiB + 3 * 512};
  builder.locator = {{"relative_path", "x"}};
  builder.put_block(1, 0, 0x10, 7);
  builder.bat[4096] = (kData + MiB) | 6;
  // Of its three sectors the second one; and one behind the end, which nobody has seen yet.
  builder.bytes[kData + MiB + 256] = {std::byte{0x42}};
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 3 * MiB));
  const auto bytes = test::vhdx_contents(file, &parent);
  ASSERT_EQ(bytes.size(), 3 * MiB);
  EXPECT_EQ(bytes[MiB], std::byte{0xee});
  EXPECT_EQ(bytes[MiB + 512], test::vhdx_byte(0x10, 512));
  EXPECT_EQ(bytes[MiB + 1024], std::byte{0xee});
  for (uint64_t at = MiB + 1536; at < 3 * MiB; ++at) ASSERT_EQ(bytes[at], std::byte{0}) << at;
  EXPECT_EQ(test::vhdx_checked(file).corruptions, 0u);
}

TEST(VhdxResize, MovesTheBatWhereItHasNoRoom) {
  VhdxBuilder builder;
  builder.put_block(3, 0, 0x10);
  const auto file = builder.file();
  const uint64_t size = 200'000 * MiB;
  ASSERT_TRUE(resize_to(file, size));
  const auto image = test::open_vhdx(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), size);
  EXPECT_THAT((*image)->info().details, testing::Contains(Detail{"bat_offset", kData + MiB}));
  EXPECT_THAT((*image)->info().details, testing::Contains(Detail{"bat_size", 2 * MiB}));
  EXPECT_EQ((*image)->map({3 * MiB, 1})->host, kData);
  EXPECT_EQ((*image)->map({size - 1, 1})->kind, Extent::Kind::zero);
  // Both copies of the region table say so.
  (void)file->write(192 * KiB, std::vector<std::byte>(4096));
  EXPECT_EQ((*test::open_vhdx(file))->size(), size);
  // Where it was is free for blocks.
  VhdxDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 1}, 0x33));
  EXPECT_EQ(disk.image().map({0, 1})->host, VhdxBuilder::kBat);
}

TEST(VhdxResize, OfAChildAddsWholeChunks) {
  VhdxBuilder builder{.parameters = 2, .disk_size = 4095 * MiB};
  builder.locator = {{"relative_path", "x"}};
  builder.bat[4096] = kData | 6;
  builder.data.push_back({kData, 1, 0});
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 4098 * MiB));
  EXPECT_EQ(vhdx_entry(*file, 4094), 0u);
  EXPECT_EQ(vhdx_entry(*file, 4095), 2u);
  EXPECT_EQ(vhdx_entry(*file, 4096), kData | 6);
  EXPECT_EQ(vhdx_entry(*file, 4097), 2u);
  EXPECT_EQ(vhdx_entry(*file, 4098), 2u);
  EXPECT_EQ(vhdx_entry(*file, 4099), 0u);
  EXPECT_EQ(test::vhdx_checked(file).corruptions, 0u);
}

TEST(VhdxResize, GivesNewBlocksOfAFixedDiskTheirPlaces) {
  VhdxBuilder builder{.parameters = 1, .disk_size = MiB};
  builder.put_block(0, 0, 0x10);
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 3 * MiB));
  EXPECT_EQ(vhdx_entry(*file, 1), (kData + MiB) | 6);
  EXPECT_EQ(vhdx_entry(*file, 2), (kData + 2 * MiB) | 6);
  EXPECT_EQ(file->stat()->size, kData + 3 * MiB);
  const Result<void> cut = resize_to(file, MiB);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().message(), "a fixed VHDX cannot be cut");
}

TEST(VhdxResize, CutsADiskWhereItHasNoData) {
  VhdxBuilder builder{.disk_size = 6 * MiB};
  builder.put_block(2, 0, 0x10);
  builder.bat[4] = 2;
  builder.bat[5] = kData | 0;
  const auto file = builder.file();
  const Result<void> cut = resize_to(file, 2 * MiB);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code(), Errc::unsupported);
  EXPECT_THAT(cut.error().message(), HasSubstr("block 2 has some"));
  ASSERT_TRUE(resize_to(file, 2 * MiB + 512 * KiB));
  EXPECT_EQ(vhdx_entry(*file, 2), kData | 6);
  for (const uint64_t i : {3U, 4U, 5U}) EXPECT_EQ(vhdx_entry(*file, i), 0u);
  // What it had behind the cut does not come back.
  ASSERT_TRUE(resize_to(file, 4 * MiB));
  const auto bytes = test::vhdx_contents(file);
  EXPECT_EQ(bytes[2 * MiB], std::byte{0x10});
  EXPECT_EQ(bytes[2 * MiB + 512 * KiB], std::byte{0});
}

TEST(VhdxResize, OfAChildKeepsTheBitmapOfTheLastChunk) {
  VhdxBuilder builder{.parameters = 2, .disk_size = 9000 * MiB};
  builder.locator = {{"relative_path", "x"}};
  builder.put_block(0, 0, 0x10, 7);
  builder.bat[4096] = (kData + MiB) | 6;
  builder.bat[4097 + 4096] = (kData + 2 * MiB) | 6;
  builder.bat[4090] = builder.bat[4100] = 2;
  builder.bytes[kData + MiB] = {std::byte{1}};
  builder.data.push_back({kData + 2 * MiB, 1, 0});
  const auto file = builder.file();
  ASSERT_TRUE(resize_to(file, 10 * MiB));
  EXPECT_EQ(vhdx_entry(*file, 4096), (kData + MiB) | 6);
  for (const uint64_t i : {4090U, 4100U, 4097U + 4096U}) EXPECT_EQ(vhdx_entry(*file, i), 0u) << i;
  EXPECT_EQ((*test::open_vhdx(file))->map({0, MiB})->guest.length, 512u);
}

TEST(VhdxResize, RefusesWhatNoVhdxCanBe) {
  const auto file = VhdxBuilder{}.file();
  const Result<void> done = resize_to(file, 64 * 1024 * GiB + 1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::invalid);
  VhdxBuilder faulty;
  faulty.put_block(0, 0, 1);
  faulty.bat[1] = kData | 6;
  const Result<void> refused = resize_to(faulty.file(), 8 * MiB);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::corrupt);
}

}  // namespace
}  // namespace platter::vhdx
