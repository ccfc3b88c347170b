#include "formats/vdi/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vdi/vdi_disk.h"
#include "tests/formats/vdi/vdi_names.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

Result<CheckReport> repair_file(const FilePtr& file, Repair how) {
  Epochs epochs;
  const auto image = TRY(test::open_writable_vdi(file, epochs, true));
  CheckReport report;
  TRY(image->check(how, report));
  return report;
}

std::vector<uint32_t> map_of(const File& file, size_t entries) {
  std::vector<uint32_t> map;
  for (size_t i = 0; i < entries; ++i) map.push_back(test::word_of(file, kMap + 4 * i));
  return map;
}

TEST(VdiCheck, FindsNothingInASoundImage) {
  const auto report = test::checked(VdiBuilder{.map = {1, kF, 0, kZ}, .data = {1, 2}}.file());
  EXPECT_EQ(report.corruptions, 0u);
  EXPECT_EQ(report.leaks, 0u);
  EXPECT_EQ(report.blocks, 4u);
}

TEST(VdiCheck, CountsLeaksInFrontOfBehindAndPastTheCount) {
  EXPECT_EQ(test::checked(VdiBuilder{.map = {1, kF}, .data = {1, 2}}.file()).leaks, 1u);
  EXPECT_EQ(test::checked(VdiBuilder{.map = {0, kF}, .data = {1, 2}}.file()).leaks, 1u);
  const auto report =
      test::checked(VdiBuilder{.map = {0, kF}, .blocks_allocated = 1, .data = {1, 2}}.file());
  EXPECT_EQ(report.leaks, 1u);
  EXPECT_EQ(report.corruptions, 0u);
}

TEST(VdiCheck, ReportsACountThatIsTooSmall) {
  const auto report =
      test::checked(VdiBuilder{.map = {0, 1, kF}, .blocks_allocated = 1, .data = {1, 2}}.file());
  EXPECT_EQ(report.corruptions, 1u);
  EXPECT_THAT(report.messages, ElementsAre(HasSubstr("counts 1 blocks, but block 1 is in use")));
}

TEST(VdiRepair, ClosesGapsAndKeepsTheDisk) {
  const auto file = VdiBuilder{.map = {4, kF, 1, 3, kZ}, .data = {9, 8, 7, 6, 5}}.file();
  const auto before = test::disk_of(file);
  const auto report = repair_file(file, Repair::leaks);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->repaired, 2u);
  EXPECT_EQ(report->leaks, 0u);
  EXPECT_EQ(test::disk_of(file), before);
  EXPECT_THAT(map_of(*file, 5), ElementsAre(0, kF, 1, 2, kZ));
  EXPECT_EQ(test::word_of(*file, kCount), 3u);
  EXPECT_EQ(file->stat()->size, 1024u + 3 * 4096);
  EXPECT_EQ(test::checked(file).leaks, 0u);
}

TEST(VdiRepair, ChangesNoByteOfASoundImage) {
  const auto file = VdiBuilder{.map = {1, kF, 0}, .data = {9, 8}}.file();
  const auto before = test::bytes_of_file(*file);
  ASSERT_TRUE(repair_file(file, Repair::all));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiRepair, OfLeaksLeavesWorseThingsAlone) {
  const auto file = VdiBuilder{.map = {1, 1, kF}, .data = {9, 8}}.file();
  const auto before = test::bytes_of_file(*file);
  const auto report = repair_file(file, Repair::leaks);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message(), HasSubstr("--repair all"));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiRepair, LeavesASharedBlockToTheLowestEntry) {
  const auto file = VdiBuilder{.map = {1, 1, 70, 0}, .blocks_allocated = 1, .data = {9, 8}}.file();
  const auto report = repair_file(file, Repair::all);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->repaired, 3u);
  EXPECT_THAT(map_of(*file, 4), ElementsAre(1, kF, kF, 0));
  EXPECT_EQ(test::word_of(*file, kCount), 2u);
  EXPECT_EQ(test::checked(file).corruptions, 0u);
}

TEST(VdiRepair, MakesATruncatedImageOneThatOpens) {
  const auto file =
      VdiBuilder{.map = {0, 1, 2}, .data = {9, 8, 7}, .file_size = 1024 + 4096}.file();
  EXPECT_FALSE(test::open_vdi(file));
  EXPECT_EQ(test::checked(file).corruptions, 2u);
  const auto report = repair_file(file, Repair::all);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_TRUE(test::open_vdi(file));
  EXPECT_EQ(test::checked(file).corruptions, 0u);
}

TEST(VdiRepairAttack, MapFullOfOneBlockTakesAFewPassesOverIt) {
  const auto memory =
      VdiBuilder{.block_size = 512, .map = std::vector<uint32_t>(300'000), .data = {9}}.file();
  uint64_t calls = 0;
  const auto file = std::make_shared<test::WrappedFile>(memory, [&](test::Call) -> Result<void> {
    ++calls;
    return {};
  });
  const auto report = repair_file(file, Repair::all);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->repaired, 299'999u);
  EXPECT_LT(calls, 200u);
  EXPECT_EQ(test::checked(memory).corruptions, 0u);
}

// Power is lost before every call of a repair.
void expect_never_worse(const VdiBuilder& builder, uint64_t corruptions) {
  std::mt19937_64 random(1);
  const auto disk = test::disk_of(builder.file());
  const auto crashing = std::make_shared<test::CrashFile>();
  ASSERT_TRUE(crashing->write(0, builder.build()));
  ASSERT_TRUE(crashing->sync());
  const auto look = [&](test::Call call) -> Result<void> {
    if (call == test::Call::read) return {};
    for (int i = 0; i < 20; ++i) {
      const auto after = crashing->crash(random);
      EXPECT_EQ(test::disk_of(after), disk);
      EXPECT_LE(test::checked(after).corruptions, corruptions);
    }
    return {};
  };
  ASSERT_TRUE(repair_file(std::make_shared<test::WrappedFile>(crashing, look), Repair::all));
  const auto after = crashing->crash(random);
  EXPECT_EQ(test::disk_of(after), disk);
  EXPECT_EQ(test::checked(after).corruptions + test::checked(after).leaks, 0u);
}

TEST(VdiRepair, LosesNothingWhenItIsCutShort) {
  expect_never_worse({.map = {5, kF, 1, 3, kZ, 4}, .data = {9, 8, 7, 6, 5, 4}}, 0);
  // An entry outside reads as nothing before and after.
  expect_never_worse({.map = {5, 90, 1, 3, kZ, 4}, .data = {9, 8, 7, 6, 5, 4}}, 1);
}

}  // namespace
}  // namespace platter::vdi
