// What a check finds in sparse extents, and what a repair makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vmdk/vmdk_disk.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vmdk {
namespace {

using test::check_vmdk;
using test::kVmdkRedundantTable;
using test::kVmdkTable;
using test::vmdk_entries;
using test::vmdk_mark;
using test::VmdkBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

Result<CheckReport> repaired(const FilePtr& file, Repair how = Repair::all) {
  Epochs epochs;
  const auto image = TRY(test::open_writable_vmdk(file, epochs, {}, true));
  CheckReport report;
  TRY(image->check(how, report));
  return report;
}

struct Damage {
  std::string name;
  VmdkBuilder builder;
  std::string message;
  std::vector<uint32_t> after;  // of both tables
};
void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

VmdkBuilder with_words(VmdkBuilder builder, std::map<uint64_t, uint32_t> words) {
  builder.words = std::move(words);
  return builder;
}

std::vector<Damage> damages() {
  const VmdkBuilder sound{.table = {32, 40}, .data = {0x10, 0x20}};
  return {
      {"past_the_end", {.table = {32, 5000}, .data = {0x10}}, "points past the end", {32, 0}},
      {"shared", {.table = {32, 32}, .data = {0x10}}, "a grain another one has", {32, 0}},
      {"metadata", {.table = {32, 27}, .data = {0x10}}, "points at metadata", {32, 0}},
      {"descriptor", {.table = {1, 32}, .data = {0x10}}, "points at metadata", {0, 32}},
      {"saved_by_the_redundant_table",
       {.table = {32, 5000}, .redundant_table = {{32, 40}}, .data = {0x10, 0x20}},
       "points past the end",
       {32, 40}},
      {"stale",
       {.table = {32, 40}, .redundant_table = {{32}}, .data = {0x10, 0x20}},
       "redundant grain table 0: is not what the other",
       {32, 40}},
      {"directory",
       with_words(sound, {{26 * 512, 5000}}),
       "grain directory: entry 0 points past",
       {32, 40}},
      {"redundant_directory",
       with_words(sound, {{21 * 512, 5000}}),
       "redundant grain directory: entry 0 points past",
       {32, 40}},
      {"both_at_one_table",
       with_words(sound, {{21 * 512, 27}}),
       "a table another one has",
       {32, 40}},
      {"over_the_directory",
       with_words(sound, {{26 * 512, 26}}),
       "points at other metadata",
       {32, 40}},
      {"missing_table", with_words(sound, {{26 * 512, 0}}), "has no table", {32, 40}},
      {"no_directory_has_it",
       with_words(sound, {{26 * 512, 5000}, {21 * 512, 5000}}),
       "grain directory: entry 0 points past",
       {0, 0}},
  };
}

class VmdkDamage : public testing::TestWithParam<Damage> {};

TEST_P(VmdkDamage, IsReportedAndRepaired) {
  const auto file = GetParam().builder.file();
  const CheckReport found = check_vmdk(file);
  EXPECT_GT(found.corruptions, 0u);
  ASSERT_FALSE(found.messages.empty());
  EXPECT_THAT(found.messages[0], HasSubstr(GetParam().message));
  EXPECT_EQ(repaired(file, Repair::leaks).error().code(), Errc::corrupt);
  const auto report = repaired(file);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->corruptions, 0u);
  const CheckReport after = check_vmdk(file);
  EXPECT_EQ(after.corruptions, 0u) << after.messages[0];
  EXPECT_EQ(vmdk_mark(*file), 0);
  const uint64_t table = test::word_at(*file, 26 * 512) * uint64_t{512};
  const uint64_t redundant = test::word_at(*file, 21 * 512) * uint64_t{512};
  EXPECT_NE(table, redundant);
  EXPECT_EQ(vmdk_entries(*file, table, 2), GetParam().after);
  EXPECT_EQ(vmdk_entries(*file, redundant, 2), GetParam().after);
}

// Power is lost at any moment of a repair, and another one follows: what the disk reads as then.
std::vector<std::vector<int>> repaired_in_two_goes(const VmdkBuilder& builder, Repair how) {
  std::mt19937_64 random(1);
  const auto file = std::make_shared<test::CrashFile>(*builder.file());
  std::vector<std::vector<int>> seen;
  const auto look = [&](test::Call call) -> Result<void> {
    for (int i = 0; i < 24 && call != test::Call::read; ++i) {
      const auto cut = file->crash(random);
      EXPECT_TRUE(repaired(cut));
      EXPECT_EQ(check_vmdk(cut).corruptions, 0u);
      seen.push_back(test::sectors_of(cut));
    }
    return {};
  };
  EXPECT_TRUE(repaired(std::make_shared<test::WrappedFile>(file, look), how));
  return seen;
}

TEST_P(VmdkDamage, IsRepairedInTwoGoes) {
  const auto file = GetParam().builder.file();
  ASSERT_TRUE(repaired(file));
  const auto wanted = test::sectors_of(file);
  for (const auto& seen : repaired_in_two_goes(GetParam().builder, Repair::all)) {
    ASSERT_EQ(seen, wanted);
  }
}

// What a repair says is done is durable.
TEST_P(VmdkDamage, IsRepairedForGood) {
  std::mt19937_64 random(2);
  const auto file = std::make_shared<test::CrashFile>(*GetParam().builder.file());
  ASSERT_TRUE(repaired(file));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(check_vmdk(file->crash(random)).corruptions, 0u);
    EXPECT_EQ(vmdk_mark(*file->crash(random)), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Each, VmdkDamage, testing::ValuesIn(damages()),
                         [](const auto& test) { return test.param.name; });

// What a writer leaves that was cut off costs nothing, and counts as that.
TEST(VmdkCheck, TablesThatDifferInAFileThatIsMarkedAreLeaks) {
  const auto file =
      VmdkBuilder{.unclean = 1, .table = {32, 40}, .redundant_table = {{32}}, .data = {0x10, 0x20}}
          .file();
  EXPECT_EQ(check_vmdk(file).corruptions, 0u);
  EXPECT_EQ(check_vmdk(file).leaks, 1u);
  ASSERT_TRUE(repaired(file, Repair::leaks));
  EXPECT_EQ(check_vmdk(file).leaks, 0u);
  EXPECT_THAT(vmdk_entries(*file, kVmdkRedundantTable, 2), ElementsAre(32, 40));
}

TEST(VmdkCheck, AMarkAloneIsTakenAwayDurably) {
  std::mt19937_64 random(1);
  const auto file = std::make_shared<test::CrashFile>(
      *VmdkBuilder{.unclean = 1, .table = {32}, .data = {0x10}}.file());
  const auto report = repaired(file, Repair::leaks);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->repaired, 0u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(vmdk_mark(*file->crash(random)), 0);
}

// Gaps are filled with the last grains, and the file is cut.
TEST(VmdkCheck, LeaksGoAndTheFileGetsShorter) {
  const auto file =
      VmdkBuilder{.table = {64, 48}, .data = {0x10, 0x20, 0x30, 0x40, 0x50, 0x60}}.file();
  EXPECT_EQ(check_vmdk(file).leaks, 4u);
  const auto before = test::sectors_of(file);
  const auto report = repaired(file, Repair::leaks);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->repaired, 4u);
  EXPECT_EQ(report->leaks, 0u);
  EXPECT_EQ(file->stat()->size, 48u * 512);
  EXPECT_EQ(test::sectors_of(file), before);
  EXPECT_EQ(vmdk_entries(*file, kVmdkTable, 2), vmdk_entries(*file, kVmdkRedundantTable, 2));
}

TEST(VmdkCheck, GapsAreClosedWithoutALossWhenPowerIsLost) {
  const VmdkBuilder builder{.table = {64, 48, 80},
                            .data = {0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70}};
  const auto wanted = test::sectors_of(builder.file());
  for (const auto& seen : repaired_in_two_goes(builder, Repair::leaks)) ASSERT_EQ(seen, wanted);
}

// What it looked at may not be on the disk yet.
TEST(VmdkCheck, ARepairWithNothingToDoMakesItDurable) {
  const auto file =
      std::make_shared<test::CrashFile>(*VmdkBuilder{.table = {32}, .data = {0x10}}.file());
  ASSERT_TRUE(file->write(32 * 512, test::bytes_of("new")));
  ASSERT_TRUE(repaired(file, Repair::leaks));
  EXPECT_EQ(file->unsynced(), 0u);
}

// A header with a wrong number does not cost the disk.
TEST(VmdkCheck, GrainsInFrontOfTheFirstOneAreNotThrownAway) {
  VmdkBuilder builder{.table = {32, 40}, .data = {0x10, 0x20}};
  builder.words[64] = 48;
  const auto file = builder.file();
  EXPECT_EQ(check_vmdk(file).corruptions, 2u);
  const auto report = repaired(file);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->corruptions, 2u);
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 2), ElementsAre(32, 40));
}

TEST(VmdkCheck, GrainsAcrossOthersAreShared) {
  const VmdkBuilder across{.table = {32, 36, 44}, .data = {0x10, 0x20, 0x30}};
  EXPECT_EQ(check_vmdk(across.file()).corruptions, 1u);
  const VmdkBuilder beside{.table = {33, 41, 49}, .data = {0x10, 0x20, 0x30, 0x40}};
  EXPECT_EQ(check_vmdk(beside.file()).corruptions, 0u);
  const VmdkBuilder twice{.table = {33, 33}, .data = {0x10, 0x20}};
  EXPECT_EQ(check_vmdk(twice.file()).corruptions, 1u);
}

TEST(VmdkCheck, StreamsAreLookedAtAndNotRepaired) {
  VmdkBuilder builder{.version = 3,
                      .flags = 0x30003,
                      .capacity = 16,
                      .compression = 1,
                      .table = {32, 5000},
                      .data = {0}};
  builder.words = {{32 * 512, 8}, {32 * 512 + 4, 0}, {32 * 512 + 8, 100}};
  const auto file = builder.file();
  const CheckReport report = check_vmdk(file);
  EXPECT_THAT(report.messages,
              ElementsAre(HasSubstr("is that of sector 8"), HasSubstr("points past the end")));
  EXPECT_EQ(repaired(file).error().code(), Errc::unsupported);
  builder.words = {{32 * 512, 0}, {32 * 512 + 4, 0}, {32 * 512 + 8, 100000}};
  EXPECT_THAT(check_vmdk(builder.file()).messages[0], HasSubstr("has 100000 bytes"));
}

TEST(VmdkCheck, OfADiskOfPartsNamesThePart) {
  const auto text = test::vmdk_text("x", {"RW 8 FLAT \"f\" 0", "RW 24 SPARSE \"s\""});
  const auto disk = std::make_shared<MemoryFile>("d", test::bytes_of(text));
  const auto sparse = VmdkBuilder{.capacity = 24, .table = {5000}}.file();
  const auto flat = std::make_shared<MemoryFile>("f", std::vector<std::byte>(4096));
  const auto image = test::open_vmdk(disk, {{"s", sparse}, {"f", flat}}, true);
  ASSERT_TRUE(image);
  CheckReport report;
  ASSERT_TRUE((*image)->check(Repair::none, report));
  EXPECT_THAT(report.messages, ElementsAre(HasSubstr("extent 2 (\"s\"): grain tables: the entry")));
  EXPECT_EQ(report.corruptions, 1u);
}

}  // namespace
}  // namespace platter::vmdk
