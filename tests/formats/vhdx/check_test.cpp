// What a check finds, and what of it a repair mends.
#include "formats/vhdx/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhdx/headers.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"

namespace platter::vhdx {
namespace {

using test::vhdx_checked;
using test::vhdx_entry;
using test::VhdxBuilder;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

VhdxBuilder with_blocks() {
  VhdxBuilder builder;
  builder.put_block(0, 0, 0x10);
  builder.put_block(1, 1, 0x20);
  return builder;
}

VhdxBuilder with_bitmap() {
  VhdxBuilder builder{.parameters = 2};
  builder.locator = {{"relative_path", "x"}};
  builder.put_block(0, 0, 0x10, 7);
  builder.bat[4096] = (kData + MiB) | 6;
  builder.data.push_back({kData + MiB, MiB, 0});
  return builder;
}

std::vector<std::string> faults_of(const VhdxBuilder& builder) {
  CheckReport report = vhdx_checked(builder.file());
  // Leaks come last.
  report.messages.resize(report.corruptions);
  return report.messages;
}

TEST(VhdxCheck, FindsNothingInWhatIsRight) {
  const CheckReport report = vhdx_checked(with_blocks().file());
  EXPECT_EQ(report.corruptions + report.leaks, 0u);
  EXPECT_EQ(report.blocks, 4u);
  EXPECT_THAT(faults_of(with_bitmap()), ElementsAre());
}

TEST(VhdxCheck, FindsEntriesThatCannotBeRight) {
  VhdxBuilder builder = with_blocks();
  builder.bat[2] = kData | 6;
  EXPECT_THAT(faults_of(builder), ElementsAre("BAT: block 2 is where another one is (0x400000)"));
  // Half of another one, too.
  builder.block_size = 2 << 20;
  builder.disk_size = 8 * MiB;
  builder.data.push_back({kData + 4 * MiB, MiB, 1});
  builder.bat = {{0, kData | 6}, {1, (kData + MiB) | 6}};
  EXPECT_THAT(faults_of(builder), ElementsAre(HasSubstr("block 1 is where another one is")));
  builder = with_blocks();
  builder.bat[2] = (kData + 2 * MiB) | 6;
  EXPECT_THAT(faults_of(builder),
              ElementsAre(HasSubstr("block 2 points past the end of the file")));
  builder.bat[2] = ~(MiB - 1) | 6;
  EXPECT_THAT(faults_of(builder),
              ElementsAre(HasSubstr("block 2 points past the end of the file")));
  for (const uint64_t place : {uint64_t{0}, VhdxBuilder::kLog, VhdxBuilder::kMetadata}) {
    builder.bat[2] = place | 6;
    EXPECT_THAT(faults_of(builder), ElementsAre(HasSubstr("block 2 points at the image's own")));
  }
  builder.bat[2] = 4;
  EXPECT_THAT(faults_of(builder), ElementsAre("BAT: block 2 is in state 4"));
}

TEST(VhdxCheck, FindsAPlaceKeptForOneBlockThatAnotherHas) {
  VhdxBuilder builder = with_blocks();
  builder.bat[2] = kData | 2;
  EXPECT_THAT(faults_of(builder), ElementsAre(HasSubstr("block 2 is where another one is")));
}

TEST(VhdxCheck, FindsPartialBlocksWithoutABitmap) {
  VhdxBuilder builder = with_bitmap();
  builder.bat[4096] = 0;
  EXPECT_THAT(faults_of(builder),
              ElementsAre("BAT: block 0 is partially present, and has no sector bitmap"));
  builder.bat[4096] = (kData + MiB) | 2;
  EXPECT_THAT(faults_of(builder),
              ElementsAre("BAT: the sector bitmap of chunk 0 is in state 2",
                          "BAT: block 0 is partially present, and has no sector bitmap"));
  builder.bat[4096] = kData | 6;
  EXPECT_THAT(faults_of(builder),
              ElementsAre("BAT: the sector bitmap of chunk 0 is where another one is (0x400000)"));
}

TEST(VhdxCheck, CountsWhatItDoesNotSay) {
  VhdxBuilder builder;
  for (uint64_t i = 0; i < 1000; ++i) builder.bat[i] = 4;
  builder.disk_size = 1000 * MiB;
  const CheckReport report = vhdx_checked(builder.file());
  EXPECT_EQ(report.corruptions, 1000u);
  EXPECT_EQ(report.messages.size(), 100u);
}

TEST(VhdxCheck, LooksBehindTheLog) {
  VhdxBuilder builder = with_blocks();
  builder.log_guid = Uuid::random();
  std::vector<std::byte> page(4096);
  store(page, 0, le64(4));
  builder.log.push_back({.pages = {{VhdxBuilder::kBat, page}}});
  EXPECT_THAT(faults_of(builder), ElementsAre("BAT: block 0 is in state 4"));
}

TEST(VhdxRepair, RestoresADamagedHeader) {
  for (const uint64_t at : {64 * KiB, 128 * KiB}) {
    VhdxBuilder builder = with_blocks();
    builder.broken32[at + 20] = 1;
    const auto file = builder.file();
    EXPECT_THAT(vhdx_checked(file).messages, Contains(HasSubstr("is damaged")));
    const CheckReport report = vhdx_checked(file, Repair::all);
    EXPECT_EQ(report.repaired, 1u);
    EXPECT_EQ(report.corruptions, 0u);
    const Headers headers = *read_headers(*file);
    EXPECT_TRUE(headers.good[0] && headers.good[1]);
    EXPECT_EQ(vhdx_checked(file).corruptions, 0u);
  }
}

TEST(VhdxRepair, RestoresARegionTableFromItsCopy) {
  for (const uint64_t at : {192 * KiB, 256 * KiB}) {
    VhdxBuilder builder = with_blocks();
    builder.broken32[at + 20] = 1;
    const auto file = builder.file();
    EXPECT_THAT(vhdx_checked(file).messages, ElementsAre(HasSubstr("region table: its checksum")));
    EXPECT_EQ(vhdx_checked(file, Repair::all).repaired, 1u);
    EXPECT_EQ(vhdx_checked(file).corruptions, 0u);
    // The other one is not needed any more.
    (void)file->write((192 + 256) * KiB - at, std::vector<std::byte>(16));
    EXPECT_TRUE(test::open_vhdx(file));
  }
}

TEST(VhdxRepair, IsDurable) {
  VhdxBuilder builder = with_blocks();
  builder.broken32[192 * KiB + 20] = 1;
  const auto file = std::make_shared<test::CrashFile>(*builder.file());
  ASSERT_EQ(vhdx_checked(file, Repair::all).repaired, 1u);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::mt19937_64 random(seed);
    EXPECT_EQ(vhdx_checked(file->crash(random)).corruptions, 0u);
  }
}

TEST(VhdxRepair, MakesTwoRegionTablesTheSame) {
  VhdxBuilder builder = with_blocks();
  // An entry of the second copy is marked as not required.
  builder.words32[256 * KiB + 16 + 28] = 0;
  const auto file = builder.file();
  EXPECT_THAT(vhdx_checked(file).messages, ElementsAre("region table: its two copies differ"));
  EXPECT_EQ(vhdx_checked(file, Repair::all).repaired, 1u);
  EXPECT_EQ(vhdx_checked(file).corruptions, 0u);
}

TEST(VhdxRepair, EmptiesALogThatIsLost) {
  VhdxBuilder builder = with_blocks();
  builder.log_guid = Uuid::random();
  const auto file = builder.file();
  EXPECT_THAT(vhdx_checked(file).messages, ElementsAre(HasSubstr("has no valid entry")));
  EXPECT_THAT(vhdx_checked(file, Repair::leaks).messages,
              Contains(HasSubstr("--repair all is needed")));
  EXPECT_FALSE(test::open_vhdx(file));
  EXPECT_EQ(vhdx_checked(file, Repair::all).repaired, 1u);
  EXPECT_TRUE(test::open_vhdx(file));
}

TEST(VhdxRepair, ReplaysALog) {
  VhdxBuilder builder = with_blocks();
  builder.log_guid = Uuid::random();
  std::vector<std::byte> page(4096);
  store(page, 0, le64(kData | 6));
  builder.log.push_back({.pages = {{VhdxBuilder::kBat, page}}});
  const auto file = builder.file();
  const CheckReport report = vhdx_checked(file, Repair::leaks);
  EXPECT_EQ(report.corruptions + report.leaks, 0u);
  EXPECT_TRUE(read_headers(*file)->current.log.is_nil());
  EXPECT_EQ(vhdx_entry(*file, 1), 0u);
  EXPECT_EQ(file->stat()->size, kData + MiB);
}

TEST(VhdxRepair, CutsWhatNobodyUsesAtTheEnd) {
  VhdxBuilder builder = with_blocks();
  builder.file_size = kData + 10 * MiB + 5;
  const auto file = builder.file();
  const CheckReport found = vhdx_checked(file);
  EXPECT_EQ(found.leaks, 9u);
  EXPECT_EQ(found.corruptions, 0u);
  EXPECT_EQ(vhdx_checked(file, Repair::leaks).repaired, 9u);
  EXPECT_EQ(file->stat()->size, kData + 2 * MiB);
  EXPECT_EQ(vhdx_checked(file).leaks, 0u);
}

TEST(VhdxRepair, LeavesAFixedDiskItsLength) {
  VhdxBuilder builder = with_blocks();
  builder.parameters = 1;
  builder.file_size = kData + 10 * MiB;
  const auto file = builder.file();
  EXPECT_EQ(vhdx_checked(file).leaks, 0u);
  EXPECT_EQ(vhdx_checked(file, Repair::leaks).repaired, 0u);
  EXPECT_EQ(file->stat()->size, kData + 10 * MiB);
}

TEST(VhdxRepair, LeavesWhatIsWrongInTheBatAndTheFileWithIt) {
  VhdxBuilder builder = with_blocks();
  builder.bat[2] = kData | 6;
  builder.file_size = kData + 10 * MiB;
  const auto file = builder.file();
  const CheckReport report = vhdx_checked(file, Repair::all);
  EXPECT_EQ(report.corruptions, 1u);
  EXPECT_EQ(report.leaks, 8u);
  EXPECT_EQ(file->stat()->size, kData + 10 * MiB);
}

}  // namespace
}  // namespace platter::vhdx
