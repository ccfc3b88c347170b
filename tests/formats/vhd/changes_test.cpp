#include "formats/vhd/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vhd/vhd_disk.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhd {
namespace {

using test::bytes_of_vhd;
using test::VhdBuilder;
using test::VhdDisk;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

bool ends_with_a_footer(const File& file) {
  const uint64_t size = file.stat()->size;
  std::array<std::byte, 8> cookie{};
  return size % 512 == 0 && file.read_exact(size - 512, cookie) &&
         std::memcmp(cookie.data(), "conectix", 8) == 0;
}

VhdBuilder one_block() {
  VhdBuilder b{.blocks = {{.first = 7}}};
  return b.point({0, -1, -1});
}

TEST(VhdChanges, StayAwayWhenNothingIsWritten) {
  const auto file = one_block().file();
  const auto before = bytes_of_vhd(*file);
  ASSERT_TRUE(VhdDisk(file).writer().close());
  EXPECT_EQ(bytes_of_vhd(*file), before);
}

TEST(VhdChanges, PutABlockAtTheEndAndTheFooterBehind) {
  const VhdBuilder b = one_block();
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({2 * test::kVhdBlock + 512, 512}, 3));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(file->stat()->size, b.tail_at() + b.stride() + 512);
  EXPECT_EQ(test::vhd_word(*file, 1536 + 8), b.tail_at() / 512);
  EXPECT_EQ(test::vhd_word(*file, b.tail_at()), 0xffffffffu);  // its bitmap
  EXPECT_TRUE(ends_with_a_footer(*file));
  EXPECT_THAT(test::sectors_of_vhd(file), ElementsAre(7, 8, 9, 10, 11, 12, 13, 14, 0, 0, 0, 0, 0, 0,
                                                      0, 0, 0, 3, 0, 0, 0, 0, 0, 0));
}

// Whatever call comes next, a footer is what the file ends with.
TEST(VhdChanges, LeaveAFooterAtTheEndAtEveryMoment) {
  VhdBuilder b;
  b.point(std::vector<int>(64, -1));
  const auto memory = b.file();
  unsigned calls = 0;
  const auto file = std::make_shared<test::WrappedFile>(memory, [&](test::Call) -> Result<void> {
    EXPECT_TRUE(ends_with_a_footer(*memory)) << "call " << calls;
    ++calls;
    return {};
  });
  VhdDisk disk(file);
  for (uint64_t block = 0; block < 64; ++block) {
    ASSERT_TRUE(disk.fill({block * test::kVhdBlock, test::kVhdBlock}, 1));
    const auto flushed = block % 7 == 0 ? disk.writer().flush() : Result<void>();
    ASSERT_TRUE(flushed);
  }
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(memory->stat()->size, b.tail_at() + 64 * b.stride() + 512);
}

TEST(VhdChanges, SyncLessThanOnceABlock) {
  VhdBuilder b;
  b.point(std::vector<int>(64, -1));
  unsigned syncs = 0;
  VhdDisk disk(std::make_shared<test::WrappedFile>(b.file(), [&](test::Call call) -> Result<void> {
    syncs += call == test::Call::sync ? 1 : 0;
    return {};
  }));
  for (uint64_t block = 0; block < 64; ++block)
    ASSERT_TRUE(disk.fill({block * test::kVhdBlock, 512}, 1));
  EXPECT_LE(syncs, 8u);
  EXPECT_GE(syncs, 1u);
}

TEST(VhdChanges, UseTheGapsOfTheFileFirst) {
  VhdBuilder b;
  b.blocks = {{.first = 1}, {.first = 2}, {.first = 3}};
  b.point({2, -1, -1});
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({test::kVhdBlock + 512, 512}, 9));
  ASSERT_TRUE(disk.fill({2 * test::kVhdBlock, 512}, 8));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::vhd_word(*file, 1536 + 4), b.sector_of(0));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 8), b.sector_of(1));
  EXPECT_EQ(file->stat()->size, b.tail_at() + 512);
  EXPECT_THAT(test::sectors_of_vhd(file),
              ElementsAre(3, 4, 5, 6, 7, 8, 9, 10, 0, 9, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0));
}

TEST(VhdChanges, KeepWhatTheTableHasBehindTheDisk) {
  VhdBuilder b{.disk_size = test::kVhdBlock, .blocks = {{.first = 1}, {.first = 2}}};
  b.point({-1, -1, 0, 1});
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 512}, 9));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::vhd_word(*file, 1536), b.tail_at() / 512);
}

TEST(VhdChanges, SetTheBitsOfSectorsTheyWriteInADynamicDisk) {
  VhdBuilder b{.blocks = {{.bits = {0x81}, .first = 0}}};
  b.point({0});
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 512}, 5));  // has its bit
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(test::vhd_word(*file, b.data_at()) >> 24, 0x81u);
  ASSERT_TRUE(disk.fill({3 * 512 + 100, 512}, 9));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::vhd_word(*file, b.data_at()) >> 24, 0x99u);
  EXPECT_THAT(test::sectors_of_vhd(file), ElementsAre(5, 1, 2, 3, 9, 5, 6, 7));
}

TEST(VhdChanges, PutNothingButTheirSectorsIntoAChild) {
  const auto below =
      test::open_vhd(VhdBuilder{.blocks = {{.first = 100}, {.first = 110}}}.point({0, 1}).file());
  ASSERT_TRUE(below);
  VhdBuilder b{.type = 4, .blocks = {{.bits = {0x80}, .first = 50}}};
  b.point({0, -1});
  const auto file = b.file();
  VhdDisk disk(file, below->get());
  ASSERT_TRUE(disk.fill({512, 512}, 1));
  ASSERT_TRUE(disk.fill({test::kVhdBlock + 7 * 512 + 10, 10}, 2));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::vhd_word(*file, b.data_at()) >> 24, 0xc0u);
  EXPECT_EQ(test::vhd_word(*file, b.tail_at()), 0x01000000u);
  EXPECT_THAT(
      test::sectors_of_vhd(file, below->get()),
      ElementsAre(50, 1, 102, 103, 104, 105, 106, 107, 110, 111, 112, 113, 114, 115, 116, 117));
  EXPECT_EQ(disk.byte_at(test::kVhdBlock + 7 * 512 + 9), 117);
  EXPECT_EQ(disk.byte_at(test::kVhdBlock + 7 * 512 + 10), 2);
}

TEST(VhdChanges, AZeroHidesTheParentWithoutAByteOfData) {
  const auto below = test::open_vhd(VhdBuilder{.blocks = {{.first = 100}}}.point({0}).file());
  ASSERT_TRUE(below);
  const auto file = VhdBuilder{.type = 4}.point({-1}).file();
  uint64_t written = 0;
  VhdDisk disk(std::make_shared<test::WrappedFile>(file,
                                                   [&](test::Call call) -> Result<void> {
                                                     written += call == test::Call::write ? 1 : 0;
                                                     return {};
                                                   }),
               below->get());
  ASSERT_TRUE(disk.writer().zero({512, 1024}, File::Zero::keep_space));
  EXPECT_EQ(written, 2u);  // the footer and the bitmap
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(test::sectors_of_vhd(file, below->get()),
              ElementsAre(100, 0, 0, 103, 104, 105, 106, 107));
}

TEST(VhdChanges, FillAGapThatHoldsOldBytes) {
  const auto below = test::open_vhd(VhdBuilder{.blocks = {{.first = 100}}}.point({0}).file());
  ASSERT_TRUE(below);
  VhdBuilder b{.type = 4, .blocks = {{.first = 1}}};
  b.point({-1});
  const auto file = b.file();
  VhdDisk disk(file, below->get());
  ASSERT_TRUE(disk.writer().zero({512, 512}, File::Zero::keep_space));
  ASSERT_TRUE(disk.fill({1024, 512}, 5));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::vhd_word(*file, b.data_at()), 0x60000000u);
  EXPECT_THAT(test::sectors_of_vhd(file, below->get()),
              ElementsAre(100, 0, 5, 103, 104, 105, 106, 107));
}

TEST(VhdChanges, MendAFooterThatIsMissingBeforeTheFirstByte) {
  VhdBuilder b = one_block();
  b.tail = false;
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 512}, 5));
  EXPECT_TRUE(ends_with_a_footer(*file));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(test::check_vhd(file).corruptions, 0u);
}

TEST(VhdChanges, MendACopyThatIsNotTheSame) {
  const auto file = one_block().file();
  ASSERT_TRUE(file->write(84, std::vector<std::byte>(1, std::byte{1})));
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 512}, 5));
  ASSERT_TRUE(disk.writer().close());
  const auto image = test::open_vhd(file);
  ASSERT_TRUE(image);
  EXPECT_THAT((*image)->info().warnings, testing::IsEmpty());
}

TEST(VhdChanges, AFooterOf511BytesBecomesAWholeOne) {
  VhdBuilder b = one_block();
  b.file_size = b.tail_at() + 511;
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({test::kVhdBlock, 512}, 5));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_TRUE(ends_with_a_footer(*file));
  EXPECT_THAT(test::firsts_of_vhd(file, test::kVhdBlock), ElementsAre(7, 5, 0));
}

TEST(VhdChanges, OverwriteAFixedDiskAndNothingElse) {
  VhdBuilder b{.type = 2, .fixed = {1, 2, 3, 4}};
  const auto file = b.file();
  VhdDisk disk(file);
  ASSERT_TRUE(disk.fill({512, 512}, 9));
  ASSERT_TRUE(disk.writer().discard({1024, 512}));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(test::sectors_of_vhd(file), ElementsAre(1, 9, 0, 4));
  EXPECT_EQ(file->stat()->size, b.tail_at() + 512);
}

TEST(VhdChanges, NeverWriteADiskOfASavedState) {
  for (const uint32_t type : {2u, 3u, 4u}) {
    VhdBuilder b{.type = type, .saved_state = 1, .fixed = {1, 2}};
    b.point({-1});
    for (const bool info_only : {false, true}) {
      Epochs epochs;
      const auto image = test::open_writable_vhd(b.file(), epochs, info_only);
      ASSERT_FALSE(image);
      EXPECT_EQ(image.error().code(), Errc::unsupported);
    }
    EXPECT_TRUE(test::open_vhd(b.file()));
  }
}

TEST(VhdChanges, NeverWriteADiskWithAWrongChecksum) {
  VhdBuilder b = one_block();
  for (const auto& words : {std::map<uint64_t, uint64_t>{{64, 1}, {b.tail_at() + 64, 1}},
                            std::map<uint64_t, uint64_t>{{512 + 36, 1}}}) {
    b.words32 = words;
    Epochs epochs;
    const auto image = test::open_writable_vhd(b.file(), epochs);
    ASSERT_FALSE(image);
    EXPECT_THAT(image.error().message(), HasSubstr("it is only read until it is repaired"));
  }
}

// The first write fails, and no byte of the file has changed.
void expect_not_written(const VhdBuilder& builder, const std::string& message) {
  const auto file = builder.file();
  const auto before = bytes_of_vhd(*file);
  VhdDisk disk(file);
  const auto done = disk.fill({0, 512}, 1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::corrupt);
  EXPECT_THAT(done.error().message(), HasSubstr(message));
  EXPECT_EQ(bytes_of_vhd(*file), before);
}

TEST(VhdChangesAttack, TwoEntriesAtOneBlock) {
  VhdBuilder b = one_block();
  b.point({0, -1, 0});
  expect_not_written(b, "0 entries point outside the data, 1 at bytes another block has");
}

TEST(VhdChangesAttack, BlocksThatOverlapInPart) {
  VhdBuilder b{.blocks = {{.first = 1}, {.first = 2}}};
  b.point({0, -1});
  b.table[1] = b.sector_of(0) + 3;
  expect_not_written(b, "1 at bytes another block has");
}

TEST(VhdChangesAttack, BlockOverTheHeaders) {
  VhdBuilder b = one_block();
  for (const uint32_t sector : {0u, 1u, 2u, 3u}) {
    b.table[2] = sector;
    expect_not_written(b, "1 entries point outside the data");
  }
}

TEST(VhdChangesAttack, BlockOverAParentLocator) {
  VhdBuilder b{.type = 4, .table = {VhdBuilder::kUnused}};
  b.locators = {{.code = "W2ru", .text = test::utf16le(".\\a.vhd")}};
  b.blocks = {{.first = 1}};
  b.table[0] = b.sector_of(0) - 1;
  expect_not_written(b, "1 entries point outside the data");
}

TEST(VhdChangesAttack, BlockOverTheFooter) {
  VhdBuilder b = one_block();
  b.table[0] = b.sector_of(0) + 1;
  expect_not_written(b, "truncated: the blocks end at");
}

TEST(VhdChangesAttack, BlockPastTheEnd) {
  VhdBuilder b = one_block();
  b.table[2] = 0xfffffffe;
  expect_not_written(b, "1 entries point outside the data");
}

TEST(VhdChanges, RefuseATableThatDoesNotBeginAtASector) {
  VhdBuilder b = one_block();
  b.table_offset = 1540;
  b.point({0, -1, -1});
  Epochs epochs;
  const auto image = test::open_writable_vhd(b.file(), epochs);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::unsupported);
  EXPECT_THAT(test::firsts_of_vhd(b.file(), test::kVhdBlock), ElementsAre(7, 0, 0));
}

TEST(VhdChanges, AreFlushedWhenManyOfThemWait) {
  // A block in each sector of a table of 5 MiB.
  VhdBuilder b{.block_size = 512};
  b.point(std::vector<int>(1280 * 1024, -1));
  const auto file = b.file();
  VhdDisk disk(file);
  for (uint64_t block = 0; block < 1280 * 1024; block += 128) {
    ASSERT_TRUE(disk.fill({block * 512, 512}, 1));
  }
  EXPECT_NE(test::vhd_word(*file, 1536), VhdBuilder::kUnused);
}

}  // namespace
}  // namespace platter::vhd
