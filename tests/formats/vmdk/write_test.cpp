// What a write leaves in the file: both tables, the mark of a writer, the CID.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vmdk/vmdk_disk.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vmdk {
namespace {

using test::kVmdkRedundantTable;
using test::kVmdkTable;
using test::vmdk_entries;
using test::vmdk_mark;
using test::vmdk_text;
using test::VmdkBuilder;
using test::VmdkDisk;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string why_not_writable(const FilePtr& file,
                             const std::map<std::string, FilePtr>& others = {}) {
  Epochs epochs;
  const auto image = test::open_writable_vmdk(file, epochs, others);
  return image ? "" : image.error().message();
}

std::string why_no_writing(const FilePtr& file) {
  VmdkDisk disk(file);
  const auto done = disk.image().begin_writing();
  return done ? "" : done.error().message();
}

// The grains at the end of the file, the entries the same in both tables.
TEST(VmdkWrite, AppendsGrainsAndSaysSoInBothTables) {
  const auto file = VmdkBuilder{.table = {0, 32}, .data = {0x10}}.file();
  {
    VmdkDisk disk(file);
    ASSERT_TRUE(disk.fill({3 * 4096 + 5, 2}, 1));
    ASSERT_TRUE(disk.fill({6 * 4096, 8192}, 2));
    ASSERT_TRUE(disk.fill({4096, 1}, 3));
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 8), ElementsAre(0, 32, 0, 40, 0, 0, 48, 56));
  EXPECT_EQ(vmdk_entries(*file, kVmdkRedundantTable, 512), vmdk_entries(*file, kVmdkTable, 512));
  EXPECT_EQ(file->stat()->size, 64u * 512);
  EXPECT_EQ(test::check_vmdk(file).leaks, 0u);
}

TEST(VmdkWrite, UsesWhatACrashLeaked) {
  const auto file = VmdkBuilder{.table = {0, 40}, .data = {0x10, 0x20, 0x30}}.file();
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 1}, 1));
  ASSERT_TRUE(disk.fill({5 * 4096, 1}, 1));
  ASSERT_TRUE(disk.fill({6 * 4096, 1}, 1));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 7), ElementsAre(32, 40, 0, 0, 0, 48, 56));
}

TEST(VmdkWrite, MarksTheFileFromTheFirstChangeOfItsTablesUntilItIsClosed) {
  const auto file = VmdkBuilder{.table = {32}, .data = {0x10}}.file();
  {
    VmdkDisk disk(file);
    EXPECT_EQ(vmdk_mark(*file), 0);
    ASSERT_TRUE(disk.fill({0, 1}, 1));
    ASSERT_TRUE(disk.writer().flush());
    EXPECT_EQ(vmdk_mark(*file), 0) << "bytes in place change no table";
    ASSERT_TRUE(disk.fill({4096, 1}, 1));
    EXPECT_EQ(vmdk_mark(*file), 1);
    ASSERT_TRUE(disk.writer().close());
    EXPECT_EQ(vmdk_mark(*file), 1);
  }
  EXPECT_EQ(vmdk_mark(*file), 0);
}

TEST(VmdkWrite, LeavesTheMarkWhereSomethingWaitsForAFlush) {
  const auto file = VmdkBuilder{}.file();
  {
    VmdkDisk disk(file);
    ASSERT_TRUE(disk.fill({0, 1}, 1));
  }
  EXPECT_EQ(vmdk_mark(*file), 1);
  EXPECT_TRUE((*test::open_vmdk(file))->info().dirty);
}

// The mark is durable before the first entry can be.
TEST(VmdkWrite, TheMarkComesFirst) {
  std::mt19937_64 random(1);
  const auto file = std::make_shared<test::CrashFile>(*VmdkBuilder{}.file());
  const auto look = [&](test::Call call) -> Result<void> {
    if (call == test::Call::read) return {};
    const auto after = file->crash(random);
    const bool changed =
        vmdk_entries(*after, kVmdkTable, 512) != std::vector<uint32_t>(512) ||
        vmdk_entries(*after, kVmdkRedundantTable, 512) != std::vector<uint32_t>(512);
    EXPECT_TRUE(!changed || vmdk_mark(*after) == 1);
    return {};
  };
  VmdkDisk disk(std::make_shared<test::WrappedFile>(file, look));
  for (uint64_t i = 0; i < 9; ++i) {
    ASSERT_TRUE(disk.fill({i * 4096, 1}, 1));
    ASSERT_TRUE(disk.writer().flush());
  }
}

TEST(VmdkWrite, MendsWhatAWriterLeftThatWasCutOff) {
  const auto file = VmdkBuilder{
      .unclean = 1,
      .table = {32, 40, 5000},
      .redundant_table = {{32, 0, 5000, 48}},
      .data = {0x10,
               0x20}}.file();
  {
    VmdkDisk disk(file);
    ASSERT_TRUE(disk.fill({0, 1}, 1));
    EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 4), ElementsAre(32, 40, 0, 0));
    EXPECT_THAT(vmdk_entries(*file, kVmdkRedundantTable, 4), ElementsAre(32, 40, 0, 0));
    EXPECT_EQ(disk.byte_at(4096), 0x20);
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_EQ(vmdk_mark(*file), 0);
}

TEST(VmdkWrite, RefusesTablesThatNoCrashLeaves) {
  EXPECT_THAT(
      why_no_writing(VmdkBuilder{.table = {32}, .redundant_table = {{0}}, .data = {0x10}}.file()),
      HasSubstr("1 redundant tables are not the same"));
  for (const uint8_t unclean : {uint8_t{0}, uint8_t{1}}) {
    EXPECT_THAT(
        why_no_writing(VmdkBuilder{.unclean = unclean, .table = {32, 32}, .data = {0x10}}.file()),
        HasSubstr("1 entries cannot be right"));
    EXPECT_THAT(
        why_no_writing(VmdkBuilder{.unclean = unclean, .table = {27}, .data = {0x10}}.file()),
        HasSubstr("1 entries cannot be right"));
  }
  EXPECT_THAT(why_no_writing(VmdkBuilder{.table = {5000}}.file()), HasSubstr("cannot be right"));
  VmdkBuilder one_directory{.table = {32}, .data = {0x10}};
  one_directory.words[21 * 512] = 0;
  EXPECT_THAT(why_no_writing(one_directory.file()), HasSubstr("cannot be right"));
  one_directory.unclean = 1;
  EXPECT_EQ(why_no_writing(one_directory.file()), "");
}

TEST(VmdkWrite, RefusesGrainsThatAreNotAligned) {
  EXPECT_THAT(why_no_writing(VmdkBuilder{.table = {33}, .data = {0x10, 0x20}}.file()),
              HasSubstr("not aligned"));
}

TEST(VmdkWrite, WithoutARedundantDirectoryThereIsOneTable) {
  const auto file = VmdkBuilder{.flags = 1, .table = {}, .redundant_table = {{7}}}.file();
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 1}, 1));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 2), ElementsAre(32, 0));
  EXPECT_THAT(vmdk_entries(*file, kVmdkRedundantTable, 2), ElementsAre(7, 0));
}

TEST(VmdkWrite, MakesTablesThatAreMissing) {
  VmdkBuilder builder{};
  builder.words = {{21 * 512, 0}, {26 * 512, 0}};
  const auto file = builder.file();
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.fill({4096, 4096}, 1));
  EXPECT_EQ(disk.byte_at(4096), 1);
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(test::word_at(*file, 21 * 512), 32u);
  EXPECT_EQ(test::word_at(*file, 26 * 512), 36u);
  EXPECT_THAT(vmdk_entries(*file, 36 * 512, 3), ElementsAre(0, 40, 0));
  EXPECT_THAT(vmdk_entries(*file, 32 * 512, 3), ElementsAre(0, 40, 0));
}

TEST(VmdkZero, IsAnEntryWhereTablesCanSayIt) {
  const auto file =
      VmdkBuilder{.version = 2, .flags = 7, .table = {32, 40}, .data = {0x10, 0x20}}.file();
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.writer().discard({0, 3 * 4096}));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 4), ElementsAre(1, 1, 0, 0));
  EXPECT_THAT(vmdk_entries(*file, kVmdkRedundantTable, 4), ElementsAre(1, 1, 0, 0));
  EXPECT_EQ(disk.byte_at(0), 0);
  // The grains are used again, the lower one first.
  ASSERT_TRUE(disk.fill({7 * 4096, 4096}, 1));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(vmdk_entries(*file, kVmdkTable, 8).back(), 32u);
}

TEST(VmdkZero, WithoutAParentIsNoEntryAtAll) {
  const auto file = VmdkBuilder{.table = {32, 40}, .data = {0x10, 0x20}}.file();
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.writer().discard({4096, 4096}));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 3), ElementsAre(32, 0, 0));
  EXPECT_EQ(disk.byte_at(4096), 0);
}

TEST(VmdkZero, OverAParentThatOtherwiseShowsThroughIsWritten) {
  const auto base = test::open_vmdk(VmdkBuilder{.table = {32, 40}, .data = {0x10, 0x20}}.file());
  ASSERT_TRUE(base);
  const std::string lines = "parentFileNameHint=\"b.vmdk\"\n";
  const auto file = VmdkBuilder{.more_lines = lines}.file();
  VmdkDisk disk(file, base->get());
  ASSERT_TRUE(disk.writer().discard({0, 4096}));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 2), ElementsAre(32, 0));
  EXPECT_EQ(disk.byte_at(0), 0);
  const auto can_say = VmdkBuilder{.version = 2, .flags = 7, .more_lines = lines}.file();
  VmdkDisk second(can_say, base->get());
  ASSERT_TRUE(second.writer().discard({0, 4096}));
  ASSERT_TRUE(second.writer().flush());
  EXPECT_THAT(vmdk_entries(*can_say, kVmdkTable, 2), ElementsAre(1, 0));
}

TEST(VmdkContentId, ChangesOnceASessionBeforeTheFirstChange) {
  const auto file =
      VmdkBuilder{.more_ddb = "ddb.uuid.modification=\"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"\n"}
          .file();
  const auto ids = [&] {
    const auto image = test::open_vmdk(file);
    return std::pair((*image)->info().content_id, *(*image)->info().modification_uuid);
  };
  const auto before = ids();
  {
    VmdkDisk disk(file);
    ASSERT_TRUE(disk.writer().flush());
    EXPECT_EQ(ids(), before);
    ASSERT_TRUE(disk.fill({0, 1}, 1));
    const auto after = ids();
    EXPECT_NE(after.first, before.first);
    EXPECT_NE(after.second, before.second);
    ASSERT_TRUE(disk.writer().flush());
    ASSERT_TRUE(disk.fill({4096, 1}, 1));
    ASSERT_TRUE(disk.writer().close());
    EXPECT_EQ(ids(), after);
  }
  VmdkDisk again(file);
  ASSERT_TRUE(again.fill({0, 1}, 2));
  EXPECT_NE(ids().first, before.first);
}

TEST(VmdkContentId, IsDurableBeforeTheFirstByte) {
  std::mt19937_64 random(1);
  const auto file =
      std::make_shared<test::CrashFile>(*VmdkBuilder{.table = {32}, .data = {0x10}}.file());
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.image().begin_writing());
  for (int i = 0; i < 8; ++i) {
    EXPECT_NE((*test::open_vmdk(file->crash(random)))->info().content_id, "0a1b2c3d");
  }
}

TEST(VmdkContentId, AListOfChangedBlocksGoesWithTheFirstWrite) {
  const auto file = VmdkBuilder{.more_lines = "changeTrackPath=\"x-ctk.vmdk\"\n"}.file();
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 1}, 1));
  EXPECT_THAT(test::read_text(*file, 512, 1024), Not(HasSubstr("changeTrackPath")));
}

TEST(VmdkWritable, IsNotWhatNobodyCanWrite) {
  EXPECT_THAT(why_not_writable(VmdkBuilder{.version = 3}.file()), HasSubstr("version 3"));
  EXPECT_THAT(why_not_writable(VmdkBuilder{.flags = 0x83}.file()), HasSubstr("unknown flags"));
  EXPECT_THAT(
      why_not_writable(VmdkBuilder{.version = 3, .flags = 0x30003, .compression = 1}.file()),
      HasSubstr("compressed"));
  EXPECT_THAT(why_not_writable(VmdkBuilder{.redundant_at = 1000}.file()),
              HasSubstr("redundant directory is damaged"));
  EXPECT_THAT(why_not_writable(VmdkBuilder{.descriptor_at = 20}.file()), HasSubstr("descriptor"));
  EXPECT_THAT(why_not_writable(
                  VmdkBuilder{.descriptor = vmdk_text("x", {"RDONLY 75 SPARSE \"a\""})}.file()),
              HasSubstr("only to be read"));
}

TEST(VmdkWritable, NeedsPartsThatAreWholeGrainsAndHaveFilesOfTheirOwn) {
  const auto disk = [](const std::vector<std::string>& lines) -> FilePtr {
    return std::make_shared<MemoryFile>("d", test::bytes_of(vmdk_text("custom", lines)));
  };
  const auto sparse = VmdkBuilder{.capacity = 24}.file();
  const auto flat = std::make_shared<MemoryFile>("f", std::vector<std::byte>(512 * 64));
  const std::map<std::string, FilePtr> files{{"s", sparse}, {"f", flat}};
  EXPECT_EQ(why_not_writable(disk({"RW 8 FLAT \"f\" 0", "RW 24 SPARSE \"s\""}), files), "");
  EXPECT_THAT(why_not_writable(disk({"RW 9 FLAT \"f\" 0", "RW 24 SPARSE \"s\""}), files),
              HasSubstr("does not end with a grain"));
  EXPECT_THAT(why_not_writable(disk({"RW 24 SPARSE \"s\"", "RW 24 SPARSE \"s\""}), files),
              HasSubstr("two sparse extents are in one file"));
  EXPECT_THAT(why_not_writable(disk({"RW 8 ZERO", "RW 24 SPARSE \"s\""}), files),
              HasSubstr("only read"));
}

TEST(VmdkParts, AreWrittenEachInItsOwnFile) {
  const auto text =
      vmdk_text("custom", {"RW 8 FLAT \"f\" 2", "RW 24 SPARSE \"s\"", "RW 9 FLAT \"f\" 40"});
  const auto disk = std::make_shared<MemoryFile>("d", test::bytes_of(text));
  const auto sparse = VmdkBuilder{.capacity = 24}.file();
  const auto flat = std::make_shared<MemoryFile>("f", std::vector<std::byte>(512 * 49));
  const std::map<std::string, FilePtr> files{{"s", sparse}, {"f", flat}};
  {
    VmdkDisk opened(disk, nullptr, files);
    ASSERT_TRUE(opened.fill({4000, 16900}, 7));
    ASSERT_TRUE(opened.writer().discard({4096, 4096}));
    ASSERT_TRUE(opened.writer().close());
  }
  const auto sectors = test::sectors_of(disk, files);
  EXPECT_EQ(sectors[6], 0);
  EXPECT_EQ(sectors[8], 0);
  EXPECT_EQ(sectors[16], 7);
  EXPECT_EQ(sectors[35], 7);
  EXPECT_EQ(test::read_text(*flat, 2 * 512 + 4095, 1), "\7");
  EXPECT_EQ(test::read_text(*flat, 40 * 512, 1), "\7");
}

// A CID that may not be durable: whoever flushes is told so, though nothing else waits.
TEST(VmdkParts, AFlushFailsAfterTheDescriptorCouldNotBeMadeDurable) {
  const auto text = vmdk_text("custom", {"RW 8 FLAT \"f\" 0"});
  const auto disk = std::make_shared<MemoryFile>("d", test::bytes_of(text));
  const auto flat = std::make_shared<MemoryFile>("f", std::vector<std::byte>(512 * 8));
  bool failed = false;
  const auto fail = [&](test::Call call) -> Result<void> {
    failed = failed || call == test::Call::sync;
    return call == test::Call::sync ? Error(Errc::io, "no sync") : Result<void>();
  };
  VmdkDisk opened(std::make_shared<test::WrappedFile>(disk, fail), nullptr, {{"f", flat}});
  EXPECT_FALSE(opened.fill({0, 1}, 7));
  EXPECT_TRUE(failed);
  EXPECT_FALSE(opened.writer().flush());
}

// Each extent's file is synced, and the descriptor's before anything of the disk changes.
TEST(VmdkParts, AreDurableWhenAFlushReturns) {
  std::mt19937_64 random(3);
  const auto text = vmdk_text("custom", {"RW 8 FLAT \"f\" 0", "RW 24 SPARSE \"s\""});
  const auto disk = std::make_shared<test::CrashFile>(MemoryFile("d", test::bytes_of(text)));
  const auto sparse = std::make_shared<test::CrashFile>(*VmdkBuilder{.capacity = 24}.file());
  const auto flat =
      std::make_shared<test::CrashFile>(MemoryFile("f", std::vector<std::byte>(512 * 8)));
  VmdkDisk opened(disk, nullptr, {{"s", sparse}, {"f", flat}});
  ASSERT_TRUE(opened.fill({0, 8192}, 7));
  ASSERT_TRUE(opened.writer().flush());
  for (int i = 0; i < 8; ++i) {
    const auto sectors = test::sectors_of(
        disk->crash(random), {{"s", sparse->crash(random)}, {"f", flat->crash(random)}});
    ASSERT_EQ(sectors.size(), 32u);
    EXPECT_EQ(sectors[0], 7);
    EXPECT_EQ(sectors[15], 7);
  }
}

}  // namespace
}  // namespace platter::vmdk
