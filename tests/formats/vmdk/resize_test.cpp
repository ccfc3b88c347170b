// VMDKs that grow: where tables and directories go, and what cannot grow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vmdk/vmdk_disk.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vmdk {
namespace {

using test::kVmdkTable;
using test::vmdk_entries;
using test::vmdk_text;
using test::VmdkBuilder;
using test::VmdkDisk;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kSpan = 512 * 4096;  // guest bytes of one of the builder's tables

Result<void> grown(const FilePtr& file, uint64_t size,
                   const std::map<std::string, FilePtr>& others = {}) {
  Epochs epochs;
  const auto image = TRY(test::open_writable_vmdk(file, epochs, others));
  return image->resize(size);
}

uint64_t size_of(const FilePtr& file, const std::map<std::string, FilePtr>& others = {}) {
  const auto image = test::open_vmdk(file, others);
  return image ? (*image)->size() : 0;
}

uint64_t sector_in_header(const File& file, uint64_t at) {
  return uint64_t{*file.read_struct<le64>(at)};
}

TEST(VmdkResize, WithinItsTablesChangesTheHeaderAndTheDescriptor) {
  const auto file = VmdkBuilder{.capacity = 12, .table = {32, 40}, .data = {0x10, 0x20}}.file();
  ASSERT_TRUE(grown(file, 100 * 512));
  EXPECT_EQ(size_of(file), 100u * 512);
  EXPECT_EQ(sector_in_header(*file, 12), 100u);
  EXPECT_EQ(sector_in_header(*file, 56), 26u);
  EXPECT_EQ(test::vmdk_mark(*file), 0);
  // What was behind the end does not come to light.
  const auto sectors = test::sectors_of(file);
  EXPECT_EQ(sectors[11], 0x23);
  EXPECT_EQ(sectors[12], 0);
  EXPECT_EQ(sectors[15], 0);
  EXPECT_EQ(test::check_vmdk(file).corruptions, 0u);
}

TEST(VmdkResize, EntriesBehindTheEndAreForgotten) {
  const auto file =
      VmdkBuilder{.capacity = 8, .table = {32, 40, 48}, .data = {0x10, 0x20, 0x30}}.file();
  ASSERT_TRUE(grown(file, 24 * 512));
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 3), ElementsAre(32, 0, 0));
  EXPECT_EQ(test::check_vmdk(file).corruptions, 0u);
}

TEST(VmdkResize, NewTablesComeAtTheEndOfTheFile) {
  const auto file = VmdkBuilder{.table = {32}, .data = {0x10}}.file();
  ASSERT_TRUE(grown(file, 3 * kSpan));
  EXPECT_EQ(sector_in_header(*file, 56), 26u) << "the directory has room in its sector";
  EXPECT_THAT(vmdk_entries(*file, 21 * 512, 4), ElementsAre(22, 40, 44, 0));
  EXPECT_THAT(vmdk_entries(*file, 26 * 512, 4), ElementsAre(27, 48, 52, 0));
  VmdkDisk disk(file);
  ASSERT_TRUE(disk.fill({3 * kSpan - 10, 10}, 9));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::sectors_of(file).back(), 0);
  EXPECT_EQ(disk.byte_at(3 * kSpan - 1), 9);
  EXPECT_EQ(test::check_vmdk(file).leaks, 0u);
}

TEST(VmdkResize, DirectoriesMoveWhenTheyOutgrowTheirSector) {
  const auto file = VmdkBuilder{.table = {32}, .data = {0x10}}.file();
  ASSERT_TRUE(grown(file, 200 * kSpan));
  EXPECT_EQ(sector_in_header(*file, 56), 40u + 2 * 199 * 4);
  EXPECT_EQ(sector_in_header(*file, 48), 40u + 2 * 199 * 4 + 2);
  EXPECT_EQ(size_of(file), 200 * kSpan);
  EXPECT_EQ(test::sectors_of(file)[0], 0x10);
  EXPECT_EQ(test::check_vmdk(file).corruptions, 0u);
  ASSERT_TRUE(grown(file, 201 * kSpan));
  EXPECT_EQ(test::check_vmdk(file).corruptions, 0u);
}

TEST(VmdkResize, AChildHidesWhatItsParentHasBehindTheEnd) {
  const std::string hint = "parentFileNameHint=\"b.vmdk\"\n";
  const auto plain = VmdkBuilder{.more_lines = hint}.file();
  const auto refused = grown(plain, MiB);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::unsupported);
  const auto file =
      VmdkBuilder{.version = 2, .flags = 7, .capacity = 16, .more_lines = hint}.file();
  ASSERT_TRUE(grown(file, 2 * kSpan));
  EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 4), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(vmdk_entries(*file, test::word_at(*file, 26 * 512 + 4) * uint64_t{512}, 512),
              Each(1));
}

TEST(VmdkResize, KeepsTheHeadsAndSectorsOfTheGeometry) {
  const auto file = VmdkBuilder{.more_ddb =
                                    "ddb.geometry.cylinders=\"1\"\n"
                                    "ddb.geometry.heads=\"4\"\nddb.geometry.sectors=\"8\"\n"}
                        .file();
  ASSERT_TRUE(grown(file, 320 * 512));
  const auto image = test::open_vmdk(file);
  EXPECT_EQ((*image)->info().pchs->cylinders, 10u);
  EXPECT_EQ((*image)->info().pchs->heads, 4u);
}

TEST(VmdkResize, SaysWhatCannotGrow) {
  const auto file = VmdkBuilder{}.file();
  EXPECT_EQ(grown(file, 512).error().code(), Errc::unsupported);
  EXPECT_EQ(grown(file, uint64_t{1} << 42).error().code(), Errc::invalid);
  EXPECT_EQ(grown(file, kMaxOffset).error().code(), Errc::invalid);
  EXPECT_EQ(size_of(file), 75u * 512);
  EXPECT_EQ(grown(VmdkBuilder{.table = {32, 32}, .data = {1}}.file(), MiB).error().code(),
            Errc::corrupt);
  const auto text = vmdk_text("x", {"RW 8 FLAT \"f\" 0", "RW 8 FLAT \"g\" 0"});
  const auto disk = std::make_shared<MemoryFile>("d", test::bytes_of(text));
  const auto flat = std::make_shared<MemoryFile>("f", std::vector<std::byte>(4096));
  EXPECT_THAT(grown(disk, MiB, {{"f", flat}, {"g", flat}}).error().message(),
              HasSubstr("several extents"));
}

TEST(VmdkResize, AFlatDiskGrowsWithZeroesBehindItsEnd) {
  std::mt19937_64 random(1);
  const auto text = vmdk_text("monolithicFlat", {"RW 9 FLAT \"f\" 0"});
  const auto disk = std::make_shared<test::CrashFile>(MemoryFile("d", test::bytes_of(text)));
  // Something lies behind the extent, as a growth leaves it that was cut short.
  const auto flat = std::make_shared<test::CrashFile>(
      MemoryFile("f", test::bytes_of(std::string(12 * 512, 'f'))));
  ASSERT_TRUE(grown(disk, 2000 * 512, {{"f", flat}}));
  for (int i = 0; i < 8; ++i) {
    const auto sectors = test::sectors_of(disk->crash(random), {{"f", flat->crash(random)}});
    ASSERT_EQ(sectors.size(), 2000u);
    EXPECT_EQ(sectors[8], 'f');
    EXPECT_THAT(std::vector<int>(sectors.begin() + 9, sectors.end()), Each(0));
  }
  const auto part = vmdk_text("x", {"RW 2 FLAT \"f\" 1"});
  const auto middle = std::make_shared<MemoryFile>("d", test::bytes_of(part));
  EXPECT_EQ(grown(middle, MiB, {{"f", flat}}).error().code(), Errc::unsupported);
}

// The size it has already: what an earlier growth wrote is durable afterwards.
TEST(VmdkResize, ToTheSizeItHasIsDurable) {
  std::mt19937_64 random(1);
  const auto file = std::make_shared<test::CrashFile>(*VmdkBuilder{}.file());
  ASSERT_TRUE(file->write(12, as_bytes_of(le64(80))));
  ASSERT_TRUE(grown(file, 75 * 512));
  EXPECT_EQ(file->unsynced(), 0u);
}

}  // namespace
}  // namespace platter::vmdk
