#include "lib/partition/mbr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/memory_container.h"

namespace platter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kSector = 512;

// A disk of a number of sectors, written record by record.
struct MbrDisk {
  std::shared_ptr<MemoryFile> file = std::make_shared<MemoryFile>("disk");

  explicit MbrDisk(uint64_t sectors) { (void)file->resize(sectors * kSector); }

  MbrDisk& record(uint64_t lba, std::vector<MbrEntry> entries) {
    BootRecord record;
    std::copy(entries.begin(), entries.end(), record.entries.begin());
    record.signature = kBootSignature;
    (void)file->write(lba * kSector, as_bytes_of(record));
    return *this;
  }

  PartitionTable read() const {
    const test::MemoryDisk disk = test::memory_disk(file);
    auto table = read_partitions(*disk.view);
    if (!table) throw std::runtime_error(table.error().message());
    return *table;
  }
};

MbrEntry entry(uint8_t type, uint32_t start, uint32_t length, uint8_t status = 0) {
  return {.status = status, .type = type, .start = start, .length = length};
}

std::vector<std::string> listed(const PartitionTable& table) {
  std::vector<std::string> lines;
  for (const Partition& p : table.partitions) {
    lines.push_back(std::to_string(p.number) + " " + p.type + " " +
                    std::to_string(p.range.offset / kSector) + "+" +
                    std::to_string(p.range.length / kSector));
  }
  return lines;
}

TEST(Mbr, ListsPrimaryPartitionsByTheirPlaceInTheTable) {
  const auto table =
      MbrDisk(1000).record(0, {entry(0x83, 10, 20, 0x80), {}, entry(0x07, 30, 70)}).read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::mbr);
  EXPECT_EQ(table.sector_size, 512u);
  EXPECT_THAT(listed(table), ElementsAre("1 0x83 10+20", "3 0x07 30+70"));
  EXPECT_THAT(table.warnings, IsEmpty());
}

TEST(Mbr, CountsLogicalPartitionsFromFiveAndLeavesOutTheExtendedOne) {
  // A logical partition counts from its own record, a link from the extended partition.
  const auto table = MbrDisk(1000)
                         .record(0, {entry(0x83, 1, 9), entry(0x05, 100, 400)})
                         .record(100, {entry(0x83, 1, 49), entry(0x05, 50, 100)})
                         .record(150, {entry(0x82, 2, 48), entry(0x05, 200, 100)})
                         .record(300, {entry(0x83, 3, 97)})
                         .read();
  EXPECT_THAT(listed(table),
              ElementsAre("1 0x83 1+9", "5 0x83 101+49", "6 0x82 152+48", "7 0x83 303+97"));
  EXPECT_THAT(table.warnings, IsEmpty());
}

TEST(Mbr, PassesOverAnExtendedBootRecordWhoseLogicalPartitionWasDeleted) {
  const auto table = MbrDisk(1000)
                         .record(0, {entry(0x0f, 100, 400)})
                         .record(100, {{}, entry(0x05, 50, 100)})
                         .record(150, {entry(0x83, 1, 9)})
                         .read();
  EXPECT_THAT(listed(table), ElementsAre("5 0x83 151+9"));
}

TEST(Mbr, ReadsAnExtendedPartitionOfLinuxsOwnType) {
  const auto table =
      MbrDisk(1000).record(0, {entry(0x85, 100, 400)}).record(100, {entry(0x83, 1, 9)}).read();
  EXPECT_THAT(listed(table), ElementsAre("5 0x83 101+9"));
}

TEST(Mbr, FindsNoTableOnAnEmptyOrATinyDisk) {
  EXPECT_EQ(MbrDisk(100).read().scheme, PartitionTable::Scheme::none);
  MbrDisk tiny(1);
  (void)tiny.file->resize(100);
  EXPECT_EQ(tiny.read().scheme, PartitionTable::Scheme::none);
}

TEST(Mbr, FindsNoTableWithoutTheSignature) {
  MbrDisk disk(1000);
  disk.record(0, {entry(0x83, 10, 20)});
  (void)disk.file->write(511, std::vector{std::byte{0}});
  EXPECT_EQ(disk.read().scheme, PartitionTable::Scheme::none);
}

TEST(Mbr, TakesNoTextWhereEntriesShouldBeForATable) {
  MbrDisk disk(1000);
  disk.record(0, {});
  const std::string_view text = "Remove disks or other media. Press any key to restart";
  (void)disk.file->write(446, std::as_bytes(std::span(text)));
  EXPECT_EQ(disk.read().scheme, PartitionTable::Scheme::none);
}

TEST(Mbr, TakesNoFatOrNtfsBootSectorForATable) {
  const std::pair<uint64_t, std::string_view> marks[] = {
      {3, "NTFS    "}, {3, "EXFAT   "}, {54, "FAT12   "}, {54, "FAT16   "}, {82, "FAT32   "}};
  for (const auto& [offset, text] : marks) {
    MbrDisk disk(1000);
    disk.record(0, {entry(0x83, 10, 20)});
    (void)disk.file->write(offset, std::as_bytes(std::span(text)));
    EXPECT_EQ(disk.read().scheme, PartitionTable::Scheme::none) << text;
  }
}

TEST(Mbr, NeedsAnEntryThatBeginsInsideTheDisk) {
  const auto table = MbrDisk(100).record(0, {entry(0x83, 100, 20), entry(0x83, 5, 0)}).read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::none);
}

TEST(Mbr, CutsAPartitionAtTheEndOfTheDisk) {
  const auto table = MbrDisk(100).record(0, {entry(0x83, 90, 0xffffffff)}).read();
  EXPECT_THAT(listed(table), ElementsAre("1 0x83 90+10"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("partition 1: ends past the end")));
}

TEST(Mbr, CutsAPartitionInTheMiddleOfTheLastSector) {
  MbrDisk disk(100);
  disk.record(0, {entry(0x83, 90, 10)});
  (void)disk.file->resize(100 * kSector - 100);
  const auto table = disk.read();
  ASSERT_EQ(table.partitions.size(), 1u);
  EXPECT_EQ(table.partitions[0].range, (Range{90 * kSector, 10 * kSector - 100}));
}

TEST(Mbr, LeavesOutAPartitionPastTheEndOfTheDisk) {
  const auto table =
      MbrDisk(100).record(0, {entry(0x83, 1, 9), entry(0x83, 0xffffffff, 0xffffffff)}).read();
  EXPECT_THAT(listed(table), ElementsAre("1 0x83 1+9"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("partition 2: begins past the end")));
}

TEST(Mbr, KeepsOverlappingPartitionsOfAHybridCdImageWithAWarning) {
  const auto table =
      MbrDisk(1000).record(0, {entry(0x17, 0, 1000, 0x80), entry(0xef, 100, 50)}).read();
  EXPECT_THAT(listed(table), ElementsAre("1 0x17 0+1000", "2 0xef 100+50"));
  EXPECT_THAT(table.warnings, ElementsAre("partitions 1 and 2 overlap"));
}

TEST(MbrAttack, ExtendedBootRecordThatNamesItself) {
  const auto table = MbrDisk(1000)
                         .record(0, {entry(0x05, 100, 400)})
                         .record(100, {entry(0x83, 1, 9), entry(0x05, 0, 100)})
                         .read();
  EXPECT_THAT(listed(table), ElementsAre("5 0x83 101+9"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("the chain is a loop")));
}

TEST(MbrAttack, ExtendedBootRecordsThatNameOneAnother) {
  const auto table = MbrDisk(1000)
                         .record(0, {entry(0x05, 100, 400)})
                         .record(100, {entry(0x83, 1, 9), entry(0x05, 50, 100)})
                         .record(150, {entry(0x83, 1, 9), entry(0x05, 0, 100)})
                         .read();
  EXPECT_THAT(listed(table), ElementsAre("5 0x83 101+9", "6 0x83 151+9"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("the chain is a loop")));
}

TEST(MbrAttack, EndlessChainOfLogicalPartitions) {
  MbrDisk disk(5000);
  disk.record(0, {entry(0x05, 100, 4900)});
  for (uint32_t i = 0; i < 1000; ++i) {
    disk.record(100 + 2 * i, {entry(0x83, 1, 1), entry(0x05, 2 * i + 2, 2)});
  }
  const auto table = disk.read();
  EXPECT_EQ(table.partitions.size(), 128u);
  EXPECT_EQ(table.partitions.back().number, 132u);
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("more logical partitions")));
}

TEST(MbrAttack, EndlessChainOfEmptyExtendedBootRecords) {
  MbrDisk disk(5000);
  disk.record(0, {entry(0x05, 100, 4900)});
  for (uint32_t i = 0; i < 1000; ++i) disk.record(100 + i, {{}, entry(0x05, i + 1, 1)});
  const auto table = disk.read();
  EXPECT_THAT(table.partitions, IsEmpty());
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("the chain is too long")));
}

TEST(MbrAttack, ExtendedBootRecordPastTheEndOfTheDisk) {
  const auto table = MbrDisk(1000)
                         .record(0, {entry(0x05, 100, 400)})
                         .record(100, {entry(0x83, 1, 9), entry(0x05, 0xffffffff, 1)})
                         .read();
  EXPECT_THAT(listed(table), ElementsAre("5 0x83 101+9"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("past the end of the disk")));
}

TEST(MbrAttack, ExtendedBootRecordOfZeroes) {
  const auto table = MbrDisk(1000).record(0, {entry(0x05, 100, 400)}).read();
  EXPECT_THAT(table.partitions, IsEmpty());
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("has no signature")));
}

}  // namespace
}  // namespace platter
