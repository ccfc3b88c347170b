#include "lib/partition/bsd_label.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/partition_lines.h"

namespace platter {
namespace {

using test::lines_of;
using test::partx_of;
using test::read_table;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Part {
  uint64_t start, length;
  uint8_t type = 7;
};

BsdLabel label_of(const std::vector<Part>& parts, uint16_t version = 0) {
  BsdLabel label;
  label.magic = kBsdMagic;
  label.magic_again = kBsdMagic;
  label.sector_size = 512;
  label.version = version;
  label.count = static_cast<uint16_t>(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    label.entries[i] = {.length = static_cast<uint32_t>(parts[i].length),
                        .start = static_cast<uint32_t>(parts[i].start),
                        .start_high = static_cast<uint16_t>(parts[i].start >> 32),
                        .length_high = static_cast<uint16_t>(parts[i].length >> 32),
                        .type = parts[i].type};
  }
  uint16_t sum = 0;
  const Bytes bytes = as_bytes_of(label);
  for (size_t at = 0; at < bytes.size(); at += 2) sum ^= load<le16>(bytes, at);
  label.checksum = sum;
  return label;
}

class BsdDisk {
 public:
  explicit BsdDisk(uint64_t sectors = 4000) { (void)file->resize(sectors * 512); }
  BsdDisk& label(uint64_t sector, const BsdLabel& label) {
    (void)file->write(sector * 512 + 512, as_bytes_of(label));
    return *this;
  }
  BsdDisk& slices(std::vector<MbrEntry> entries, uint64_t sector = 0) {
    BootRecord record;
    std::ranges::copy(entries, record.entries.begin());
    record.signature = kBootSignature;
    (void)file->write(sector * 512, as_bytes_of(record));
    return *this;
  }
  std::shared_ptr<MemoryFile> file = std::make_shared<MemoryFile>("disk");
};

MbrEntry slice(uint32_t start, uint32_t length, uint8_t type = 0xa5) {
  return {.type = type, .start = start, .length = length};
}

TEST(BsdLabelOfADisk, HasItsPartitionsByTheirLettersButNotTheWholeDisk) {
  const auto table = read_table(
      BsdDisk()
          .label(0, label_of({{16, 100}, {200, 50, 1}, {0, 4000, 0}, {0, 0, 0}, {300, 60}}))
          .file);
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::bsd);
  EXPECT_THAT(lines_of(table), ElementsAre("1 16+100", "2 200+50", "5 300+60"));
  EXPECT_EQ(table.partitions[1].type, "bsd:0x01");
  EXPECT_THAT(table.warnings, IsEmpty());
}

TEST(BsdLabelOfADisk, OfOpenBsdMayCountBeyondFourThousandMillion) {
  BsdDisk disk((uint64_t{1} << 33) + 100);
  disk.label(0, label_of({{uint64_t{1} << 33, 50}}, 1));
  EXPECT_THAT(lines_of(read_table(disk.file)), ElementsAre("1 8589934592+50"));
}

TEST(BsdLabelInASlice, CountsFromTheSliceAndIsListedBehindTheLogicalPartitions) {
  BsdDisk disk;
  disk.slices({slice(100, 1000), slice(1200, 700, 0x05)})
      .slices({slice(10, 90, 0x83)}, 1200)
      .label(100, label_of({{16, 100}, {200, 50}, {0, 1000, 0}}));
  const auto table = read_table(disk.file);
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::mbr);
  EXPECT_THAT(lines_of(table), ElementsAre("1 100+1000", "5 1210+90", "6 116+100", "7 300+50"));
  EXPECT_THAT(table.warnings, IsEmpty());
}

TEST(BsdLabelInASlice, CountsFromTheDiskWhereItsWholePartitionDoes) {
  BsdDisk disk;
  disk.slices({slice(100, 1000, 0xa9)})
      .label(100, label_of({{116, 100, 7}, {100, 1000, 7}, {100, 1000, 0}}));
  EXPECT_THAT(lines_of(read_table(disk.file)), ElementsAre("1 100+1000", "5 116+100"));
}

TEST(BsdLabelInASlice, AgreesWithLibblkid) {
  for (const uint8_t type : {uint8_t{0xa5}, uint8_t{0xa6}, uint8_t{0xa9}}) {
    BsdDisk disk;
    const uint64_t base = type == 0xa5 ? 0 : 100;
    disk.slices({slice(100, 1000, type)})
        .label(100, label_of({{base + 16, 100}, {base + 200, 50}, {base, 1000, 0}}));
    const auto theirs = partx_of(*disk.file);
    EXPECT_EQ(theirs.size(), 3u);
    EXPECT_EQ(lines_of(read_table(disk.file)), theirs) << int{type};
  }
}

TEST(BsdLabelAttack, WhatIsNotInsideTheSliceIsLeftOut) {
  BsdDisk disk;
  disk.slices({slice(100, 1000)})
      .label(100, label_of({{16, 985}, {0xffffffff, 0xffffffff}, {0, 1000, 0}}));
  const auto table = read_table(disk.file);
  EXPECT_THAT(lines_of(table), ElementsAre("1 100+1000"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("partition a"), HasSubstr("partition b")));
}

TEST(BsdLabelAttack, AWrongSumMagicCountOrSectorSizeMakesItNone) {
  const std::vector<Part> parts = {{16, 100}};
  for (int what = 0; what < 4; ++what) {
    BsdLabel label = label_of(parts);
    if (what == 0) label.entries[0].start = 17;
    if (what == 1) label.magic_again = 1;
    if (what == 2) label.count = BsdLabel::kMaxEntries + 1;
    if (what == 3) label.sector_size = 0;
    EXPECT_EQ(read_table(BsdDisk().label(0, label).file).scheme, PartitionTable::Scheme::none)
        << what;
  }
}

TEST(BsdLabelAttack, ASliceAtTheEndOfTheDiskHasNone) {
  BsdDisk disk;
  disk.slices({slice(3999, 1), slice(3990, 0xffffffff), slice(0xffffffff, 5)});
  EXPECT_THAT(lines_of(read_table(disk.file)), ElementsAre("1 3999+1", "2 3990+10"));
}

}  // namespace
}  // namespace platter
