#include "lib/partition/apm.h"

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

// A disk of 4,000 sectors with a map in blocks of some size.
class AppleDisk {
 public:
  explicit AppleDisk(uint32_t said_block = 512, uint32_t block = 512) : block_(block) {
    (void)file->resize(4000 * 512);
    DriverDescriptor descriptor;
    descriptor.signature = kDriverSignature;
    descriptor.block_size = static_cast<uint16_t>(said_block);
    (void)file->write(0, as_bytes_of(descriptor));
  }

  // Entry number, in blocks; count: what it says of the map's length.
  AppleDisk& entry(uint32_t number, const std::string& type, uint32_t start, uint32_t length,
                   const std::string& name = "", uint32_t count = 3) {
    ApmEntry made;
    made.signature = kApmSignature;
    made.map_blocks = count;
    made.start = start;
    made.length = length;
    std::ranges::copy(name, made.name.begin());
    std::ranges::copy(type, made.type.begin());
    (void)file->write(uint64_t{number} * block_, as_bytes_of(made));
    return *this;
  }
  AppleDisk& usual() {
    return entry(1, "Apple_partition_map", 1, 3, "Apple")
        .entry(2, "Apple_Free", 4, 60)
        .entry(3, "Apple_HFS", 64, 100, "Macintosh HD");
  }

  std::shared_ptr<MemoryFile> file = std::make_shared<MemoryFile>("disk");

 private:
  uint32_t block_;
};

TEST(ApplePartitionMap, ListsItsPartitionsByTheirPlaceButNoFreeSpace) {
  const auto table = read_table(AppleDisk().usual().file);
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::apm);
  EXPECT_THAT(lines_of(table), ElementsAre("1 1+3", "3 64+100"));
  ASSERT_EQ(table.partitions.size(), 2u);
  EXPECT_EQ(table.partitions[1].type, "Apple_HFS");
  EXPECT_EQ(table.partitions[1].name, "Macintosh HD");
  EXPECT_THAT(table.warnings, IsEmpty());
}

TEST(ApplePartitionMap, CountsInBlocksOfTheSizeItNames) {
  const auto table = read_table(AppleDisk(2048, 2048).usual().file);
  EXPECT_EQ(table.sector_size, 2048u);
  EXPECT_THAT(lines_of(table), ElementsAre("1 4+12", "3 256+400"));
}

TEST(ApplePartitionMap, OfSmallBlocksIsFoundWhereTheDiskSaysLargeOnes) {
  const auto table = read_table(AppleDisk(2048, 512).usual().file);
  EXPECT_EQ(table.sector_size, 512u);
  EXPECT_THAT(lines_of(table), ElementsAre("1 1+3", "3 64+100"));
}

TEST(ApplePartitionMap, NamesThatFillTheirFieldOrAreNotAsciiAreShown) {
  AppleDisk disk;
  disk.usual().entry(3, std::string(32, 'T'), 64, 100, std::string(31, 'n') + "\x8a");
  const auto table = read_table(disk.file);
  ASSERT_EQ(table.partitions.size(), 2u);
  EXPECT_EQ(table.partitions[1].type, std::string(32, 'T'));
  EXPECT_EQ(table.partitions[1].name, std::string(31, 'n') + "?");
}

TEST(ApplePartitionMap, AgreesWithLibblkid) {
  for (const uint32_t block : {512u, 2048u}) {
    AppleDisk disk(block, block);
    disk.entry(1, "Apple_partition_map", 1, 3, "Apple")
        .entry(2, "Apple_HFS", 8, 40)
        .entry(3, "Apple_HFS", 64, 100);
    EXPECT_EQ(lines_of(read_table(disk.file)), partx_of(*disk.file)) << block;
  }
}

TEST(ApplePartitionMapAttack, EntriesPastTheEndAreCutOrLeftOut) {
  AppleDisk disk;
  disk.usual().entry(2, "Apple_HFS", 3990, 0xffffffff).entry(3, "Apple_HFS", 0xffffffff, 1);
  const auto table = read_table(disk.file);
  EXPECT_THAT(lines_of(table), ElementsAre("1 1+3", "2 3990+10"));
  EXPECT_EQ(table.warnings.size(), 2u);
}

TEST(ApplePartitionMapAttack, ACountWithoutEndIsBounded) {
  AppleDisk disk;
  disk.entry(1, "Apple_partition_map", 1, 3, "", 0xffffffff);
  const auto table = read_table(disk.file);
  EXPECT_THAT(lines_of(table), ElementsAre("1 1+3"));
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("256"), HasSubstr("ends before entry 2")));
}

TEST(ApplePartitionMapAttack, OddBlockSizesAreNoBlockSizes) {
  for (const uint32_t said : {0u, 1u, 511u, 513u, 0xffffu}) {
    EXPECT_THAT(lines_of(read_table(AppleDisk(said).usual().file)),
                ElementsAre("1 1+3", "3 64+100"))
        << said;
  }
}

}  // namespace
}  // namespace platter
