#include "formats/vhd/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vhd/vhd_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhd {
namespace {

using test::check_vhd;
using test::VhdBuilder;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

VhdBuilder pair_of_blocks() {
  VhdBuilder b{.blocks = {{.first = 10}, {.first = 20}}};
  return b.point({1, -1, 0});
}

// What is found, and that after a repair nothing is.
void expect_corrupt(const VhdBuilder& b, const std::string& message) {
  const auto file = b.file();
  const auto before = test::bytes_of_vhd(*file);
  const CheckReport found = check_vhd(file);
  EXPECT_GT(found.corruptions, 0u);
  EXPECT_THAT(found.messages, Contains(HasSubstr(message)));
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
  EXPECT_THAT(check_vhd(file, Repair::leaks).messages, Contains(HasSubstr("--repair all")));
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
  const CheckReport mended = check_vhd(file, Repair::all);
  EXPECT_EQ(mended.corruptions + mended.leaks, 0u);
  EXPECT_GT(mended.repaired, 0u);
  EXPECT_THAT(check_vhd(file).messages, IsEmpty());
  const auto image = test::open_vhd(file);
  ASSERT_TRUE(image);
  EXPECT_THAT((*image)->info().warnings, IsEmpty());
}

TEST(VhdCheck, FindsNothingInAWholeImage) {
  for (const uint32_t type : {2u, 3u, 4u}) {
    VhdBuilder b = pair_of_blocks();
    b.type = type;
    b.fixed = {1, 2, 3};
    const auto file = b.file();
    const auto before = test::bytes_of_vhd(*file);
    EXPECT_THAT(check_vhd(file, Repair::all).messages, IsEmpty());
    EXPECT_EQ(test::bytes_of_vhd(*file), before);
  }
}

TEST(VhdCheck, FindsEntriesOutsideAndFreesThem) {
  VhdBuilder b = pair_of_blocks();
  b.table[1] = 0x7fffffff;
  expect_corrupt(b, "entry 1 points at sector 2147483647, where no block can be");
  b.table[1] = 2;
  expect_corrupt(b, "entry 1 points at sector 2, where no block can be");
}

TEST(VhdCheck, TheLowestEntryKeepsASharedBlock) {
  VhdBuilder b{.blocks = {{.first = 10}, {.first = 20}}};
  b.point({0, 1, 0});
  expect_corrupt(b, "entry 2 points at sector 4, where another block is");
  const auto file = b.file();
  (void)check_vhd(file, Repair::all);
  EXPECT_THAT(test::firsts_of_vhd(file, test::kVhdBlock), ElementsAre(10, 20, 0));
}

TEST(VhdCheck, FindsBlocksThatOverlapInPart) {
  VhdBuilder b = pair_of_blocks();
  b.table[1] = b.sector_of(0) + 1;
  expect_corrupt(b, "where another block is");
}

TEST(VhdCheck, CountsEveryFaultAndSaysTheFirst) {
  VhdBuilder b;
  b.point(std::vector<int>(5000, -1));
  b.table.assign(5000, 1);
  const CheckReport found = check_vhd(b.file());
  EXPECT_EQ(found.corruptions, 5000u);
  EXPECT_EQ(found.messages.size(), 100u);
}

TEST(VhdCheck, PutsAMissingFooterAtTheEnd) {
  VhdBuilder b = pair_of_blocks();
  b.tail = false;
  expect_corrupt(b, "the footer at the end is missing or damaged");
}

TEST(VhdCheck, ReplacesADamagedFooter) {
  VhdBuilder b = pair_of_blocks();
  b.words32[b.tail_at() + 200] = 5;
  expect_corrupt(b, "the footer at the end is missing or damaged");
}

TEST(VhdCheck, CorrectsChecksums) {
  VhdBuilder b = pair_of_blocks();
  b.words32 = {{64, 1}, {b.tail_at() + 64, 1}};
  expect_corrupt(b, "footer: the checksum is wrong");
  b.words32 = {{512 + 36, 1}};
  expect_corrupt(b, "dynamic header: the checksum is wrong");
  b = {.type = 2, .fixed = {1, 2, 3}};
  b.words32 = {{b.tail_at() + 64, 1}};
  expect_corrupt(b, "footer: the checksum is wrong");
}

TEST(VhdCheck, GivesABlockItsLengthThatTheEndHadCut) {
  VhdBuilder b = pair_of_blocks();
  b.tail = false;
  b.file_size = b.tail_at() - 2048;
  expect_corrupt(b, "truncated: the blocks end at");
  const auto file = b.file();
  (void)check_vhd(file, Repair::all);
  EXPECT_EQ(file->stat()->size, b.tail_at() + 512);
  EXPECT_THAT(test::firsts_of_vhd(file, test::kVhdBlock), ElementsAre(20, 0, 10));
}

TEST(VhdCheck, MovesAFooterOutOfABlock) {
  VhdBuilder b = pair_of_blocks();
  b.table[0] += 2;  // the last block, with the footer in it
  expect_corrupt(b, "truncated: the blocks end at");
  const auto file = b.file();
  (void)check_vhd(file, Repair::all);
  EXPECT_EQ(test::sectors_of_vhd(file)[7], 0);
}

TEST(VhdCheck, FillsGapsWithTheLastBlocksAndCutsTheFile) {
  VhdBuilder b{
      .blocks = {{.first = 10}, {.first = 20}, {.first = 30}, {.first = 40}, {.first = 50}}};
  b.point({4, -1, 3, 1});
  const auto file = b.file();
  EXPECT_EQ(check_vhd(file).leaks, 2u);
  EXPECT_EQ(check_vhd(file).corruptions, 0u);
  const CheckReport mended = check_vhd(file, Repair::leaks);
  EXPECT_EQ(mended.repaired, 2u);
  EXPECT_EQ(mended.leaks, 0u);
  EXPECT_EQ(file->stat()->size, b.tail_at() - 2 * b.stride() + 512);
  EXPECT_THAT(test::firsts_of_vhd(file, test::kVhdBlock), ElementsAre(50, 0, 40, 20));
}

TEST(VhdCheck, TakesTheCopyAtTheStartFromTheEnd) {
  const VhdBuilder b = pair_of_blocks();
  VhdBuilder other = b;
  other.saved_state = 1;
  const auto file = b.file();
  ASSERT_TRUE(file->write(0, other.footer()));
  EXPECT_EQ(check_vhd(file).corruptions, 0u);
  EXPECT_EQ(check_vhd(file).leaks, 1u);
  EXPECT_EQ(check_vhd(file, Repair::leaks).repaired, 1u);
  EXPECT_EQ(test::bytes_of_vhd(*file), b.build());
}

TEST(VhdCheck, FindsDataUnderClearBitsAndSetsThem) {
  VhdBuilder b{.blocks = {{.bits = {0xfe}, .first = 0}, {.bits = {0x7f}, .first = 0}}};
  b.point({0, 1});  // the first sector of each is zeroes
  const auto file = b.file();
  const CheckReport found = check_vhd(file);
  EXPECT_EQ(found.corruptions, 0u);
  EXPECT_THAT(found.messages, ElementsAre(HasSubstr("block 0: has data in sectors")));
  EXPECT_EQ(check_vhd(file, Repair::leaks).repaired, 1u);
  EXPECT_EQ(test::vhd_word(*file, b.data_at()) >> 24, 0xffu);
  EXPECT_EQ(test::vhd_word(*file, b.data_at() + b.stride()) >> 24, 0x7fu);
  EXPECT_THAT(check_vhd(file).messages, IsEmpty());
}

TEST(VhdCheck, LeavesTheBitsOfADifferencingDisk) {
  VhdBuilder b{.type = 4, .blocks = {{.bits = {0x01}, .first = 7}}};
  b.point({0});
  EXPECT_THAT(check_vhd(b.file()).messages, IsEmpty());
}

// Each kind of damage that can be mended, and all of them together.
std::vector<VhdBuilder> damaged() {
  VhdBuilder whole{.blocks = {{.first = 10}, {.first = 20}, {.bits = {0x7f}, .first = 30}}};
  whole.point({2, -1, 1, -1});
  std::vector<VhdBuilder> all(7, whole);
  all[0].table[1] = 1;
  all[1].table[3] = whole.table[0];
  all[2].tail = false;
  all[3].words32 = {{64, 1}, {whole.tail_at() + 64, 1}};
  all[4].words32 = {{512 + 36, 1}};
  all[5].words32 = {{0, 5}};
  all[6].table[1] = 1;
  all[6].table[3] = whole.table[0];
  all[6].tail = false;
  all[6].file_size = whole.tail_at() - 1024;
  all[6].words32 = {{512 + 36, 1}};
  all.push_back({.type = 2, .disk_size = 1024, .fixed = {1, 2, 3, 4}});
  all.push_back(all.back());
  all.back().words32 = {{all.back().tail_at() + 64, 1}};
  return all;
}

TEST(VhdCheck, ARepairIsDurableAndMakesNothingWorseWhenPowerIsLost) {
  for (const VhdBuilder& b : damaged()) {
    const auto start = b.file();
    const CheckReport before = check_vhd(start);
    ASSERT_GT(before.corruptions + before.leaks, 0u);
    const auto wanted = test::sectors_of_vhd(start);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::mt19937_64 random(seed);
      const auto memory = std::make_shared<test::CrashFile>(*start);
      const auto look = [&](test::Call call) -> Result<void> {
        if (call == test::Call::read) return {};
        const auto after = memory->crash(random);
        EXPECT_LE(check_vhd(after).corruptions, before.corruptions);
        const auto seen = test::sectors_of_vhd(after);
        for (size_t i = 0; i < wanted.size(); ++i) {
          // What an entry that cannot be right showed is gone, or not yet.
          const bool lost = i / 8 == 1 || i / 8 == 3;
          EXPECT_TRUE(seen.size() == wanted.size() && (lost || seen[i] == wanted[i])) << i;
        }
        return {};
      };
      const auto file = std::make_shared<test::WrappedFile>(memory, look);
      EXPECT_EQ(check_vhd(file, Repair::all).corruptions, 0u);
      EXPECT_THAT(check_vhd(memory->crash(random)).messages, IsEmpty());
      ASSERT_FALSE(HasFailure()) << "seed " << seed;
    }
  }
}

TEST(VhdCheck, ARepairThatFindsNothingIsDurableToo) {
  for (const uint32_t type : {2u, 3u}) {
    VhdBuilder b = pair_of_blocks();
    b.type = type;
    b.fixed = {1, 2, 3};
    const auto memory = std::make_shared<test::CrashFile>();
    ASSERT_TRUE(memory->write(0, b.build()));
    EXPECT_THAT(check_vhd(memory, Repair::all).messages, IsEmpty());
    EXPECT_EQ(memory->unsynced(), 0u);
  }
}

TEST(VhdCheck, SaysWhatAFixedDiskLacksAndCannotMendIt) {
  VhdBuilder b{.type = 2, .disk_size = 4096, .fixed = {1, 2, 3}};
  const CheckReport found = check_vhd(b.file());
  EXPECT_THAT(found.messages, ElementsAre(HasSubstr("truncated: the file holds 1536 bytes")));
  EXPECT_EQ(check_vhd(b.file(), Repair::all).corruptions, 1u);
}

TEST(VhdCheck, CutsWhatIsBehindAFixedDisk) {
  VhdBuilder b{.type = 2, .disk_size = 1024, .fixed = {1, 2, 3, 4}};
  const auto file = b.file();
  EXPECT_EQ(check_vhd(file).leaks, 1u);
  EXPECT_EQ(check_vhd(file, Repair::leaks).repaired, 1u);
  EXPECT_EQ(file->stat()->size, 1536u);
  EXPECT_THAT(test::sectors_of_vhd(file), ElementsAre(1, 2));
}

}  // namespace
}  // namespace platter::vhd
