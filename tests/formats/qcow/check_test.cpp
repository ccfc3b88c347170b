#include "formats/qcow/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/qcow/sector_map.h"
#include "tests/formats/qcow/image_builder.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::qcow {
namespace {

using test::checked;
using test::ImageBuilder;
using test::word_of;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(QcowCheck, FindsNothingInSoundImages) {
  for (ImageBuilder b :
       {ImageBuilder(), ImageBuilder().backing("base.raw"), test::with_a_compressed_cluster()}) {
    const auto report = checked(b.file());
    EXPECT_EQ(report.corruptions, 0u);
    EXPECT_EQ(report.leaks, b.header.backing_file_offset == 0 ? 0u : 3u);
  }
  EXPECT_EQ(checked(test::with_a_compressed_cluster().file()).blocks, 16u);
}

TEST(QcowCheck, CountsClustersThatNothingPointsAt) {
  ImageBuilder b;
  b.l1(0, 1024).l2(1024, 0, 2048).cluster(2048, 1).cluster(3072, 1);
  // 512, 1536, 2560, 3072.
  const auto report = checked(b.file());
  EXPECT_EQ(report.corruptions, 0u);
  EXPECT_EQ(report.leaks, 4u);
}

TEST(QcowCheck, FindsEntriesThatCannotBe) {
  ImageBuilder b(128 * KiB);
  b.l1(0, 512).l1(1, MiB).l1(2, 512).l1(3, 1025);
  b.l2(512, 0, 1024).l2(512, 1, 1024).l2(512, 2, 1030).l2(512, 3, MiB).l2(512, 4, 512);
  b.l2(512, 5, kCompressed | 1024).l2(512, 6, kCompressed | uint64_t{4} << 54 | 1030);
  b.l2(512, 7, kCompressed | uint64_t{4} << 54 | 10);
  b.cluster(1024, 1).cluster(1536, 1);
  const auto report = checked(b.file());
  EXPECT_THAT(report.messages,
              ElementsAre(HasSubstr("L1 table entry 1: its L2 table is past the end"),
                          HasSubstr("L1 table entry 2: its L2 table lies over another one"),
                          HasSubstr("L1 table entry 3: its L2 table is not aligned"),
                          HasSubstr("L2 entry 1 points at a cluster another one has"),
                          HasSubstr("L2 entry 2 has a cluster that is not aligned"),
                          HasSubstr("L2 entry 3 points past the end"),
                          HasSubstr("L2 entry 4 points at a table"),
                          HasSubstr("L2 entry 5 has a compressed cluster of no bytes"),
                          HasSubstr("L2 entry 6 points at a cluster another one has"),
                          HasSubstr("L2 entry 7 points at the header"),
                          HasSubstr("1 clusters of the file are not used")));
  EXPECT_EQ(report.corruptions, 10u);
}

TEST(QcowCheck, CompressedClustersMayShareASector) {
  ImageBuilder b = test::with_a_compressed_cluster();
  b.l2(0x1000, 3, 0x80b0000000003000);
  EXPECT_EQ(checked(b.file()).corruptions, 0u);
}

TEST(QcowRepair, LeaksAtTheEndAreCutOff) {
  ImageBuilder b;
  b.l1(0, 1024).l2(1024, 0, 2048).cluster(2048, 1).cluster(3072, 1);
  const auto file = b.file();
  const auto report = checked(file, Repair::leaks);
  EXPECT_EQ(report.repaired, 2u);
  EXPECT_EQ(report.leaks, 2u);
  EXPECT_EQ(report.corruptions, 0u);
  EXPECT_EQ(file->stat()->size, 2560u);
}

enum class End { used, leaked };

ImageBuilder damaged(End end = End::leaked) {
  ImageBuilder b(128 * KiB);
  b.l1(0, 512).l1(1, MiB).l1(2, 512);
  b.l2(512, 0, 1024).l2(512, 1, 1024).l2(512, 3, MiB).l2(512, 9, 1536);
  b.cluster(1024, 1).cluster(1536, 2);
  if (end == End::leaked) b.cluster(2048, 3);
  return b;
}

TEST(QcowRepair, OfLeaksAloneLeavesADamagedImageAsItIs) {
  const auto file = damaged().file();
  const auto refused = checked(file, Repair::leaks);
  ASSERT_FALSE(refused.messages.empty());
  EXPECT_THAT(refused.messages.back(), HasSubstr("--repair all is needed"));
  EXPECT_EQ(checked(file).corruptions, 4u);
}

TEST(QcowRepair, ClearsWhatCannotBeAndKeepsTheFirst) {
  const auto file = damaged().file();
  const auto report = checked(file, Repair::all);
  EXPECT_EQ(report.corruptions, 0u);
  EXPECT_EQ(report.leaks, 0u);
  EXPECT_EQ(report.repaired, 5u);
  EXPECT_EQ(word_of(*file, 48), 512u);
  EXPECT_EQ(word_of(*file, 56), 0u);
  EXPECT_EQ(word_of(*file, 64), 0u);
  EXPECT_EQ(word_of(*file, 512), 1024u);
  EXPECT_EQ(word_of(*file, 520), 0u);
  EXPECT_EQ(word_of(*file, 512 + 8 * 9), 1536u);
  EXPECT_EQ(file->stat()->size, 2048u);
  const auto after = checked(file);
  EXPECT_EQ(after.corruptions + after.leaks, 0u);
}

// What is read without an error before is what is read after it, whenever power is lost.
void lose_power_in_a_repair(ImageBuilder image, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto memory = std::make_shared<platter::test::CrashFile>(*image.file());
  const uint64_t before = checked(memory).corruptions;
  const auto look = [&](platter::test::Call call) -> Result<void> {
    if (call == platter::test::Call::read) return {};
    const auto after = memory->crash(random);
    EXPECT_LE(checked(after).corruptions, before);
    const test::Disk disk(after);
    EXPECT_EQ(disk.byte_at(0), 1);
    EXPECT_EQ(disk.byte_at(9 * 512), 2);
    return {};
  };
  const auto file = std::make_shared<platter::test::WrappedFile>(memory, look);
  EXPECT_EQ(checked(file, Repair::all).corruptions, 0u);
  const auto report = checked(memory->crash(random));
  EXPECT_EQ(report.corruptions + report.leaks, 0u);
}

TEST(QcowRepair, LeavesNothingWorseWhenPowerIsLost) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    lose_power_in_a_repair(damaged(End::leaked), seed);
    lose_power_in_a_repair(damaged(End::used), seed);
  }
}

TEST(QcowSectorMap, TellsWhoIsAlone) {
  SectorMap map(MiB);
  map.start(0);
  using Use = SectorMap::Use;
  EXPECT_TRUE(map.add({1024, 512}, Use::alone));
  EXPECT_FALSE(map.add({1024, 512}, Use::alone));
  EXPECT_FALSE(map.add({1500, 100}, Use::stream));
  EXPECT_TRUE(map.add({1536, 100}, Use::stream));
  EXPECT_TRUE(map.add({1700, 100}, Use::stream));
  EXPECT_FALSE(map.add({1536, 512}, Use::alone));
  EXPECT_EQ(map.unused({0, 4096}, 512), 6u);
  EXPECT_EQ(map.unused({0, 4096}, 1024), 3u);
  EXPECT_EQ(map.unused({100, 3000}, 1024), 1u);
  EXPECT_EQ(map.unused({100, 2900}, 1024), 0u);
  map.start(512 * KiB);
  EXPECT_TRUE(map.add({1024, 512}, Use::alone));
  EXPECT_EQ(map.unused({512 * KiB, 4096}, 512), 8u);
}

// Most of the file is a hole longer than what is looked at at once.
TEST(QcowCheck, LooksAtAFileOfManyStretches) {
  ImageBuilder b;
  b.l1(0, 512);
  const uint64_t far = 5 * SectorMap::kBytes + 1024;
  b.l2(512, 0, far).l2(512, 1, far).l2(512, 2, SectorMap::kBytes - 512);
  const auto file = b.file();
  ASSERT_TRUE(file->resize(far + 512));
  const auto report = checked(file);
  EXPECT_EQ(report.corruptions, 1u);
  EXPECT_EQ(report.leaks, (far - 1024 - 512) / 512);
}

}  // namespace
}  // namespace platter::qcow
