#include "lib/partition/gpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/partition/mbr.h"
#include "tests/support/memory_container.h"

namespace platter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Bit by bit, to be no copy of what it checks.
uint32_t crc32(Bytes bytes) {
  uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return ~crc;
}

void put32(std::vector<std::byte>& out, size_t at, uint32_t value) { store(out, at, le32(value)); }
void put64(std::vector<std::byte>& out, size_t at, uint64_t value) { store(out, at, le64(value)); }

const Uuid kLinux = *Uuid::parse("0fc63daf-8483-4772-8e79-3d69d8477de4");
const Uuid kOwn = *Uuid::parse("11223344-5566-7788-99aa-bbccddeeff00");

// Offsets of header fields (UEFI 2.10, table 5.5) that the attacks below overwrite.
enum Field : size_t {
  kHeaderSize = 12,
  kOwnLba = 24,
  kEntriesLba = 72,
  kEntryCount = 80,
  kEntrySize = 84,
};

// A GPT of four entries in both copies, built field by field.
struct GptDisk {
  uint64_t sector;
  uint64_t sectors;
  std::vector<std::byte> entries = std::vector<std::byte>(4 * 128);
  std::shared_ptr<MemoryFile> file = std::make_shared<MemoryFile>("disk");

  explicit GptDisk(uint64_t sector_size = 512, uint64_t count = 1000)
      : sector(sector_size), sectors(count) {
    (void)file->resize(sector * sectors);
    protect({MbrEntry{.type = 0xee, .start = 1, .length = 0xffffffff}});
  }

  void protect(std::vector<MbrEntry> mbr_entries) {
    BootRecord record;
    std::copy(mbr_entries.begin(), mbr_entries.end(), record.entries.begin());
    record.signature = kBootSignature;
    (void)file->write(0, as_bytes_of(record));
  }

  void add(size_t index, uint64_t first, uint64_t last, std::u16string_view name) {
    const auto type = kLinux.to_microsoft();
    const auto own = kOwn.to_microsoft();
    std::copy(type.begin(), type.end(), entries.begin() + static_cast<long>(index * 128));
    std::copy(own.begin(), own.end(), entries.begin() + static_cast<long>(index * 128 + 16));
    put64(entries, index * 128 + 32, first);
    put64(entries, index * 128 + 40, last);
    for (size_t i = 0; i < name.size(); ++i) {
      store(entries, index * 128 + 56 + 2 * i, le16(static_cast<uint16_t>(name[i])));
    }
  }

  std::vector<std::byte> header(uint64_t own, uint64_t other, uint64_t entries_lba) const {
    std::vector<std::byte> out(92);
    const std::string_view signature = "EFI PART";
    std::memcpy(out.data(), signature.data(), signature.size());
    put32(out, 8, 0x10000);
    put32(out, kHeaderSize, 92);
    put64(out, kOwnLba, own);
    put64(out, 32, other);
    put64(out, kEntriesLba, entries_lba);
    put32(out, kEntryCount, 4);
    put32(out, kEntrySize, 128);
    put32(out, 88, crc32(entries));
    return out;
  }

  void write_header(std::vector<std::byte> bytes, uint64_t lba) {
    put32(bytes, 16, 0);
    put32(bytes, 16, crc32(Bytes(bytes).first(92)));
    (void)file->write(lba * sector, bytes);
  }

  GptDisk& write_primary() {
    (void)file->write(2 * sector, entries);
    write_header(header(1, sectors - 1, 2), 1);
    return *this;
  }
  GptDisk& write_backup() {
    (void)file->write((sectors - 3) * sector, entries);
    write_header(header(sectors - 1, 1, sectors - 3), sectors - 1);
    return *this;
  }
  GptDisk& write() { return write_primary().write_backup(); }

  // The primary header with one field changed and its checksum right again.
  GptDisk& forge32(Field field, uint32_t value) {
    auto bytes = header(1, sectors - 1, 2);
    put32(bytes, field, value);
    write_header(std::move(bytes), 1);
    return *this;
  }
  GptDisk& forge64(Field field, uint64_t value) {
    auto bytes = header(1, sectors - 1, 2);
    put64(bytes, field, value);
    write_header(std::move(bytes), 1);
    return *this;
  }

  PartitionTable read() const {
    const test::MemoryDisk disk = test::memory_disk(file);
    auto table = read_partitions(*disk.view);
    if (!table) throw std::runtime_error(table.error().message());
    return *table;
  }
};

TEST(Gpt, ListsPartitionsWithTypeNameAndUuid) {
  GptDisk disk;
  disk.add(0, 40, 59, u"root");
  disk.add(2, 60, 60, u"");
  const auto table = disk.write().read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::gpt);
  EXPECT_EQ(table.sector_size, 512u);
  EXPECT_THAT(table.warnings, IsEmpty());
  ASSERT_EQ(table.partitions.size(), 2u);
  EXPECT_EQ(table.partitions[0].number, 1u);
  EXPECT_EQ(table.partitions[0].range, (Range{40 * 512, 20 * 512}));
  EXPECT_EQ(table.partitions[0].type, "0fc63daf-8483-4772-8e79-3d69d8477de4");
  EXPECT_EQ(table.partitions[0].name, "root");
  EXPECT_EQ(table.partitions[0].uuid, kOwn);
  EXPECT_EQ(table.partitions[1].number, 3u);
  EXPECT_EQ(table.partitions[1].range, (Range{60 * 512, 512}));
}

TEST(Gpt, ReadsADiskOf4096ByteSectors) {
  GptDisk disk(4096, 100);
  disk.add(0, 10, 19, u"data");
  const auto table = disk.write().read();
  EXPECT_EQ(table.sector_size, 4096u);
  ASSERT_EQ(table.partitions.size(), 1u);
  EXPECT_EQ(table.partitions[0].range, (Range{40960, 40960}));
}

TEST(Gpt, MakesNamesUtf8) {
  GptDisk disk;
  disk.add(0, 40, 59, u"Größe €\U0001F4BE");
  disk.add(1, 60, 61, std::u16string{0xd800, u'x', 0xdc00});
  disk.add(2, 62, 63, u"012345678901234567890123456789012345");
  const auto table = disk.write().read();
  ASSERT_EQ(table.partitions.size(), 3u);
  EXPECT_EQ(table.partitions[0].name, "Größe €\U0001F4BE");
  EXPECT_EQ(table.partitions[1].name, "\uFFFDx\uFFFD");
  EXPECT_EQ(table.partitions[2].name, "012345678901234567890123456789012345");
}

TEST(Gpt, UsesTheBackupWhenThePrimaryHeaderIsDamaged) {
  GptDisk disk;
  disk.add(0, 40, 59, u"root");
  disk.write();
  (void)disk.file->write(512 + 60, std::vector{std::byte{0xff}});
  const auto table = disk.read();
  EXPECT_EQ(table.partitions.size(), 1u);
  EXPECT_THAT(table.warnings,
              ElementsAre("the primary GPT is damaged (the header's checksum is wrong): its "
                          "backup is used"));
}

TEST(Gpt, UsesTheBackupWhenThePrimaryEntriesAreDamaged) {
  GptDisk disk;
  disk.add(0, 40, 59, u"root");
  disk.write();
  (void)disk.file->write(1024 + 60, std::vector{std::byte{'R'}});
  const auto table = disk.read();
  ASSERT_EQ(table.partitions.size(), 1u);
  EXPECT_EQ(table.partitions[0].name, "root");
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("the checksum of its entries is wrong")));
}

TEST(Gpt, UsesTheBackupWhenThePrimaryIsWipedOut) {
  for (const uint64_t sector : {512u, 4096u}) {
    GptDisk disk(sector, 200);
    disk.add(0, 40, 59, u"root");
    disk.write_backup();
    const auto table = disk.read();
    EXPECT_EQ(table.sector_size, sector);
    EXPECT_EQ(table.partitions.size(), 1u);
    EXPECT_THAT(table.warnings, ElementsAre("the primary GPT is missing: its backup is used"));
  }
}

TEST(Gpt, FindsTheBackupOfADiskThatGrewWhereThePrimarySaysItIs) {
  GptDisk disk;
  disk.add(0, 40, 59, u"root");
  disk.write();
  (void)disk.file->write(1024 + 60, std::vector{std::byte{'R'}});
  (void)disk.file->resize(2000 * 512);
  const auto table = disk.read();
  ASSERT_EQ(table.partitions.size(), 1u);
  EXPECT_EQ(table.partitions[0].name, "root");
}

TEST(Gpt, SaysWhatIsWrongWithBothCopiesWhenNeitherIsWhole) {
  GptDisk disk;
  disk.add(0, 40, 59, u"root");
  disk.write();
  (void)disk.file->write(512 + 60, std::vector{std::byte{0xff}});
  (void)disk.file->write(997 * 512, std::vector{std::byte{0xff}});
  const auto table = disk.read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::none);
  EXPECT_THAT(table.partitions, IsEmpty());
  EXPECT_THAT(table.warnings,
              ElementsAre(HasSubstr("primary GPT is damaged (the header's checksum is wrong)"),
                          HasSubstr("backup GPT is damaged (the checksum of its entries")));
}

TEST(Gpt, WinsOverTheOtherEntriesOfAHybridMbr) {
  GptDisk disk;
  disk.protect({MbrEntry{.type = 0xee, .start = 1, .length = 39},
                MbrEntry{.type = 0x83, .start = 40, .length = 20}});
  disk.add(0, 40, 59, u"root");
  EXPECT_EQ(disk.write().read().scheme, PartitionTable::Scheme::gpt);
}

TEST(Gpt, CountsForNothingWhenTheMbrDoesNotAnnounceIt) {
  GptDisk disk;
  disk.add(0, 40, 59, u"root");
  disk.protect({MbrEntry{.type = 0x83, .start = 100, .length = 20}});
  const auto table = disk.write().read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::mbr);
  ASSERT_EQ(table.partitions.size(), 1u);
  EXPECT_EQ(table.partitions[0].range.offset, 100u * 512);
}

TEST(GptAttack, EntriesOfZeroBytes) {
  EXPECT_THAT(GptDisk().forge32(kEntrySize, 0).read().warnings,
              testing::Contains(HasSubstr("entries of 0 bytes")));
}

TEST(GptAttack, EntriesOfAnOddSize) {
  for (const uint32_t size : {1u, 64u, 127u, 129u, 136u, 192u, 0xffffffffu}) {
    EXPECT_EQ(GptDisk().forge32(kEntrySize, size).read().scheme, PartitionTable::Scheme::none)
        << size;
  }
}

TEST(GptAttack, MoreEntriesThanMemory) {
  EXPECT_THAT(GptDisk().forge32(kEntryCount, 0xffffffff).read().warnings,
              testing::Contains(HasSubstr("4294967295 entries of 128 bytes are more than")));
}

TEST(GptAttack, CountTimesSizeThatWraps) {
  GptDisk disk;
  auto bytes = disk.header(1, 999, 2);
  put32(bytes, kEntryCount, 0x80000001);
  put32(bytes, kEntrySize, 0x80000000);
  disk.write_header(std::move(bytes), 1);
  EXPECT_EQ(disk.read().scheme, PartitionTable::Scheme::none);
}

TEST(GptAttack, EntriesPastTheEndOfTheDisk) {
  const uint64_t places[] = {998, 1000, 0x0080000000000002, 0xffffffffffffffff};
  for (const uint64_t lba : places) {
    GptDisk disk;
    disk.entries.resize(8 * 128);
    EXPECT_THAT(disk.forge32(kEntryCount, 8).forge64(kEntriesLba, lba).read().warnings,
                testing::Contains(HasSubstr("primary GPT is damaged")))
        << lba;
  }
}

TEST(GptAttack, HeaderSizeOutsideTheSector) {
  for (const uint32_t size : {0u, 91u, 513u, 0xffffffffu}) {
    EXPECT_THAT(GptDisk().forge32(kHeaderSize, size).read().warnings,
                testing::Contains(HasSubstr("header of")))
        << size;
  }
}

TEST(GptAttack, HeaderCopiedFromElsewhere) {
  EXPECT_THAT(GptDisk().forge64(kOwnLba, 7).read().warnings,
              testing::Contains(HasSubstr("somewhere else")));
}

TEST(GptAttack, PartitionsNearTwoToTheSixtyFour) {
  GptDisk disk;
  disk.add(0, 0xffffffffffffff00, 0xffffffffffffffff, u"out");
  disk.add(1, 0x0080000000000001, 0x0080000000000002, u"wraps to 1");
  disk.add(2, 990, 0xffffffffffffffff, u"cut");
  disk.add(3, 0, 0xffffffffffffffff, u"all");
  const auto table = disk.write().read();
  ASSERT_EQ(table.partitions.size(), 2u);
  EXPECT_EQ(table.partitions[0].range, (Range{990 * 512, 10 * 512}));
  EXPECT_EQ(table.partitions[1].range, (Range{0, 1000 * 512}));
}

TEST(GptAttack, PartitionThatEndsBeforeItBegins) {
  GptDisk disk;
  disk.add(0, 50, 40, u"backwards");
  const auto table = disk.write().read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::gpt);
  EXPECT_THAT(table.partitions, IsEmpty());
  EXPECT_THAT(table.warnings, ElementsAre(HasSubstr("partition 1: ends before it begins")));
}

TEST(GptAttack, ThousandsOfBadEntriesGiveAFewWarnings) {
  GptDisk disk(512, 5000);
  disk.entries.assign(8192 * 128, std::byte{0xff});
  auto bytes = disk.header(1, 4999, 2);
  put32(bytes, kEntryCount, 8192);
  (void)disk.file->write(1024, disk.entries);
  disk.write_header(std::move(bytes), 1);
  const auto table = disk.read();
  EXPECT_EQ(table.scheme, PartitionTable::Scheme::gpt);
  EXPECT_EQ(table.warnings.size(), 17u);
  EXPECT_EQ(table.warnings.back(), "and 8176 more of the kind");
}

}  // namespace
}  // namespace platter
