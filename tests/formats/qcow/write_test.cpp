#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/qcow/image_builder.h"
#include "tests/support/crash_file.h"

namespace platter::qcow {
namespace {

using test::Disk;
using test::ImageBuilder;
using test::word_of;
using testing::HasSubstr;

TEST(QcowWrite, AppendsATableAndAClusterForAFirstWrite) {
  const auto file = ImageBuilder().file();
  Disk disk(file);
  ASSERT_TRUE(disk.fill({700, 10}, 1));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(word_of(*file, 48), 512u);
  EXPECT_EQ(word_of(*file, 512 + 8), 1024u);
  EXPECT_EQ(file->stat()->size, 1536u);
  EXPECT_EQ(disk.byte_at(699), 0);
  EXPECT_EQ(disk.byte_at(700), 1);
}

TEST(QcowWrite, ClustersInARowAreTakenInOneStep) {
  const auto file = ImageBuilder().file();
  Disk disk(file);
  ASSERT_TRUE(disk.fill({0, 64 * KiB}, 9));
  ASSERT_TRUE(disk.writer().close());
  for (uint64_t i = 0; i < 64; ++i) EXPECT_EQ(word_of(*file, 512 + 8 * i), 1024 + 512 * i);
  EXPECT_EQ(test::checked(file).leaks, 0u);
  EXPECT_THAT(disk.all(), testing::Each(std::byte{9}));
}

TEST(QcowWrite, OverwritesAClusterWhereItIs) {
  const auto file = test::with_a_compressed_cluster().file();
  Disk disk(file);
  const uint64_t size = file->stat()->size;
  ASSERT_TRUE(disk.fill({4096 + 100, 5}, 3));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(word_of(*file, 0x1008), 0x2000u);
  EXPECT_EQ(file->stat()->size, align_up(size, 4096));
}

TEST(QcowWrite, MovesACompressedClusterAndLeavesItsBytes) {
  const auto file = test::with_a_compressed_cluster().file();
  Disk disk(file);
  ASSERT_TRUE(disk.fill({8192 + 4000, 200}, 3));
  ASSERT_TRUE(disk.writer().close());
  // Behind the last cluster of the file, whole.
  EXPECT_EQ(word_of(*file, 0x1010), 0x4000u);
  EXPECT_EQ(disk.byte_at(8192 + 3999), 0xbb);
  EXPECT_EQ(disk.byte_at(8192 + 4000), 3);
  EXPECT_EQ(disk.byte_at(12287), 3);
  EXPECT_EQ(disk.byte_at(12288), 3);
  const auto report = test::checked(file);
  EXPECT_EQ(report.corruptions, 0u);
  EXPECT_EQ(report.leaks, 1u);
}

// On a host that can make holes, and on one that cannot.
TEST(QcowWrite, ADiscardKeepsTheClusterAndDropsItsBytes) {
  const auto plain = test::with_a_compressed_cluster().file();
  for (const FilePtr& file :
       {FilePtr(std::make_shared<platter::test::CrashFile>(*plain)), FilePtr(plain)}) {
    Disk disk(file);
    ASSERT_TRUE(disk.writer().discard({4096, 4096}));
    ASSERT_TRUE(disk.writer().close());
    EXPECT_EQ(disk.byte_at(5000), 0);
    EXPECT_EQ(disk.byte_at(8192), 0xbb);
    EXPECT_EQ(word_of(*file, 0x1008), 0x2000u);
    ASSERT_TRUE(disk.fill({4096, 1}, 1));
    EXPECT_EQ(word_of(*file, 0x1008), 0x2000u);
  }
}

TEST(QcowWrite, ADiscardedCompressedClusterIsAbsent) {
  const auto file = test::with_a_compressed_cluster().file();
  Disk disk(file);
  ASSERT_TRUE(disk.writer().discard({8192, 4096}));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(word_of(*file, 0x1010), 0u);
  EXPECT_EQ(disk.byte_at(8192), 0);
}

TEST(QcowWrite, ZeroesOverAParentAreWritten) {
  const auto below = test::with_a_compressed_cluster().file();
  const auto parent = test::open_qcow(below);
  ASSERT_TRUE(parent);
  const auto file = ImageBuilder().backing("base").file();
  Disk disk(file, parent->get());
  EXPECT_EQ(disk.byte_at(8192), 0xbb);
  ASSERT_TRUE(disk.writer().discard({8192, 600}));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(disk.byte_at(8192), 0);
  EXPECT_EQ(disk.byte_at(8192 + 599), 0);
  EXPECT_EQ(disk.byte_at(8192 + 600), 0xbb);
  // Nothing was there and nothing is below: nothing is allocated.
  const uint64_t size = file->stat()->size;
  ASSERT_TRUE(disk.writer().zero({32 * KiB, 4096}, File::Zero::keep_space));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(file->stat()->size, size);
}

// The first half of the disk is of a table whose entry would share what is appended.
TEST(QcowWrite, RefusesATableThatPointsBehindTheFile) {
  ImageBuilder b;
  b.l1(0, 512).l2(512, 5, 4096).l2(512, 6, 1024).cluster(1024, 1);
  const auto file = b.file();
  Disk disk(file);
  for (const uint64_t at : {0U, 6U * 512}) {
    const auto done = disk.fill({at, 1}, 1);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::corrupt);
    EXPECT_THAT(done.error().message(), HasSubstr("repair it"));
  }
  // The other one is sound.
  ASSERT_TRUE(disk.fill({32 * KiB, 512}, 7));
  EXPECT_EQ(disk.byte_at(32 * KiB), 7);
  EXPECT_EQ(word_of(*file, 512 + 8 * 5), 4096u);
}

TEST(QcowWrite, RefusesATableWhoseClusterLiesOverATable) {
  for (const uint64_t entry : {uint64_t{0x200}, uint64_t{0}}) {
    ImageBuilder b;
    // At a table, or (compressed, one byte) at the header.
    b.l1(0, 512).l2(512, 5, entry != 0 ? entry : kCompressed | uint64_t{1} << 54);
    const auto file = b.file();
    Disk disk(file);
    EXPECT_FALSE(disk.fill({5 * 512, 1}, 1));
    EXPECT_EQ(word_of(*file, 48), 512u);
  }
}

TEST(QcowWrite, RefusesTablesThatOverlapOrLieOutside) {
  const auto refused = [](ImageBuilder b) {
    const auto file = b.file();
    const auto before = b.bytes;
    Disk disk(file);
    const auto done = disk.fill({40 * KiB, 1}, 1);
    std::vector<std::byte> after(file->stat()->size);
    (void)file->read_exact(0, after);
    EXPECT_TRUE(after == before);
    return done ? "" : done.error().message();
  };
  EXPECT_THAT(refused(ImageBuilder().l1(0, 512).l1(1, 512)), HasSubstr("over another one"));
  EXPECT_THAT(refused(ImageBuilder().l1(0, MiB)), HasSubstr("past the end"));
  ImageBuilder odd;
  odd.bytes.resize(4096);
  odd.l1(0, 520);
  EXPECT_THAT(refused(odd), HasSubstr("not aligned to a sector"));
  ImageBuilder over;
  over.bytes.resize(4096);
  over.header.l1_table_offset = 1024;
  over.l1(0, 1024);
  EXPECT_THAT(refused(over), HasSubstr("over the header"));
}

TEST(QcowWrite, ChangesNothingOfAnImageOpenedForReading) {
  const auto image = test::open_qcow(ImageBuilder().file());
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->begin_writing().error().code(), Errc::read_only);
  EXPECT_EQ((*image)->resize(MiB).error().code(), Errc::read_only);
}

}  // namespace
}  // namespace platter::qcow
