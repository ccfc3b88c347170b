#include "formats/qcow2/check.h"

#include <gmock/gmock.h>

#include "tests/formats/qcow2/check_image.h"
#include "tests/support/wrapped_file.h"

namespace platter::qcow2 {
namespace {

using test::checked;
using test::ImageBuilder;
using test::RichImage;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void expect_sound(const ImageBuilder& b) {
  const CheckReport report = checked(b);
  EXPECT_THAT(report.messages, IsEmpty());
  EXPECT_EQ(report.corruptions, 0U);
  EXPECT_EQ(report.leaks, 0U);
}

// Corrupt, with such a message among others.
void expect_corrupt(const ImageBuilder& b, const std::string& part) {
  const CheckReport report = checked(b);
  EXPECT_GT(report.corruptions, 0U) << part;
  EXPECT_THAT(report.messages, Contains(HasSubstr(part)));
}

ImageBuilder extended() {
  ImageBuilder b(3, 14);
  b.incompatible(Incompatible::extended_l2);
  b.set_l2(0, 5 * b.cs | kCopied, 0xffffffff);
  return b;
}

ImageBuilder with_data_file() {
  ImageBuilder b;
  b.incompatible(Incompatible::external_data);
  b.extension(ExtensionType::data_file, "d.raw");
  b.bytes.resize(5 * b.cs);
  b.put(2 * b.cs + 10, be16(0));
  b.set_l2(0, kCopied);
  b.set_l2(3, 3 * b.cs | kCopied);
  return b;
}

TEST(Qcow2Check, FindsNothingInSoundImages) {
  for (const uint32_t version : {2U, 3U}) {
    expect_sound(ImageBuilder(version));
    expect_sound(RichImage(version));
  }
  expect_sound(extended());
  expect_sound(with_data_file());
  EXPECT_EQ(checked(ImageBuilder(3, 9, 40)).blocks, 40U);
}

TEST(Qcow2Check, ReadsRefcountsOfEveryWidth) {
  for (uint32_t order = 0; order <= 6; ++order) {
    ImageBuilder b;
    b.header.refcount_order = order;
    b.fill(2 * b.cs, b.cs, 0);
    for (uint64_t i = 0; i < 6; ++i) {
      set_packed_count(MutableBytes(b.bytes).subspan(2 * b.cs, b.cs), order, i, 1);
    }
    expect_sound(b);
    set_packed_count(MutableBytes(b.bytes).subspan(2 * b.cs, b.cs), order, 5, 0);
    expect_corrupt(b, "cluster 0xa00: refcount 0, but it is used 1 times");
  }
}

TEST(Qcow2Check, CountsLeaks) {
  ImageBuilder b;
  b.bytes.resize(7 * b.cs);
  b.put(2 * b.cs + 12, be16(3));
  const CheckReport report = checked(b);
  EXPECT_EQ(report.leaks, 1U);
  EXPECT_EQ(report.corruptions, 0U);
  EXPECT_THAT(report.messages, ElementsAre(HasSubstr("0xc00: refcount 3, but it is used 0 times")));
}

TEST(Qcow2Check, ReportsRefcountsThatAreTooLow) {
  RichImage b;
  b.set_refcount(11, 1);
  expect_corrupt(b, "cluster 0x2c00: refcount 1, but it is used 2 times");
  RichImage without;
  without.put64(without.cs, 0);
  const CheckReport report = checked(without);
  EXPECT_GE(report.corruptions, RichImage::kClusters - 1) << "no refcounts at all";
}

TEST(Qcow2Check, ReportsTwoOwnersOfACluster) {
  ImageBuilder b;
  b.set_l2(1, 5 * b.cs | kCopied);
  expect_corrupt(b, "cluster 0xa00: refcount 1, but it is used 2 times");
  b.set_l2(1, 4 * b.cs | kCopied);
  expect_corrupt(b, "cluster 0x800: refcount 1, but it is used 2 times");
}

TEST(Qcow2Check, ReportsTablesThatShareAClusterThoughItsRefcountIsRight) {
  ImageBuilder l1;
  l1.set_l2(1, 3 * l1.cs);
  l1.put(2 * l1.cs + 6, be16(2));
  expect_corrupt(l1, "L1 table: shares the cluster at 0x600");
  ImageBuilder table;
  table.set_l2(1, 1 * table.cs);
  table.put(2 * table.cs + 2, be16(2));
  expect_corrupt(table, "refcount table: shares the cluster at 0x200");
  ImageBuilder block;
  block.set_l2(1, 2 * block.cs);
  block.put(2 * block.cs + 4, be16(2));
  expect_corrupt(block, "refcount table entry 0: its block shares the cluster at 0x400");
}

TEST(Qcow2Check, ReportsCopiedFlagsThatAreWrong) {
  ImageBuilder data;
  data.set_l2(0, 5 * data.cs);
  expect_corrupt(data, "cluster 0xa00: refcount 1, but an entry without the COPIED flag");
  ImageBuilder table;
  table.put64(3 * table.cs, 4 * table.cs);
  expect_corrupt(table, "cluster 0x800: refcount 1, but an entry without the COPIED flag");
  RichImage shared;
  shared.set_l2(3, 11 * shared.cs | kCopied);
  expect_corrupt(shared, "cluster 0x2c00: refcount 2, but an entry with the COPIED flag");
  RichImage compressed;
  compressed.set_l2(2, kCopied | kCompressed | uint64_t{1} << 60 | 10 * compressed.cs);
  expect_corrupt(compressed, "L2 entry 2 is compressed and has the COPIED flag");
}

TEST(Qcow2Check, ReportsReservedBits) {
  ImageBuilder l1;
  l1.put64(3 * l1.cs, 4 * l1.cs | kCopied | 2);
  expect_corrupt(l1, "L1 table entry 0: has reserved bits set");
  ImageBuilder l2;
  l2.set_l2(0, 5 * l2.cs | kCopied | uint64_t{1} << 57);
  expect_corrupt(l2, "L2 entry 0 has reserved bits set");
  ImageBuilder table;
  table.put64(table.cs, 2 * table.cs | 1);
  expect_corrupt(table, "refcount table entry 0: has reserved bits set");
}

TEST(Qcow2Check, ReportsTheZeroFlagOfVersion2) {
  ImageBuilder b(2);
  b.set_l2(3, kZeroFlag);
  expect_corrupt(b, "L2 entry 3 has a zero cluster, which version 2 does not know");
}

TEST(Qcow2Check, ReportsWhatIsNotAligned) {
  ImageBuilder l2(3, 10);
  l2.put64(3 * l2.cs, (4 * l2.cs + 512) | kCopied);
  expect_corrupt(l2, "L1 table entry 0: points at an unaligned L2 table");
  ImageBuilder data(3, 10);
  data.set_l2(0, (5 * data.cs - 512) | kCopied);
  expect_corrupt(data, "L2 entry 0 has an unaligned cluster");
  ImageBuilder block(3, 10);
  block.put64(block.cs, 2 * block.cs + 512);
  expect_corrupt(block, "refcount table entry 0: points at an unaligned block");
}

TEST(Qcow2Check, ReportsWhatIsPastTheEndOfTheFile) {
  ImageBuilder l2;
  l2.put64(3 * l2.cs, 6 * l2.cs | kCopied);
  expect_corrupt(l2, "L1 table entry 0: points at an L2 table past the end of the file");
  ImageBuilder data;
  data.set_l2(1, 6 * data.cs | kCopied);
  expect_corrupt(data, "L2 entry 1 has a cluster past the end of the file");
  RichImage stream;
  stream.set_l2(2, kCompressed | RichImage::kClusters * stream.cs);
  expect_corrupt(stream, "L2 entry 2 has a compressed cluster past the end of the file");
  ImageBuilder block;
  block.put64(block.cs + 8, kOffsetMask);
  expect_corrupt(block, "refcount table entry 1: points at a block past the end of the file");
}

TEST(Qcow2Check, PutsUpWithAFileThatEndsInsideItsLastCluster) {
  ImageBuilder b;
  b.bytes.resize(6 * b.cs - 100);
  expect_sound(b);
  RichImage stream;  // compressed, with a sector on paper behind the end
  stream.set_l2(3, 0);
  stream.put64(8 * stream.cs + 24, 0);
  stream.set_refcount(11, 0);
  stream.bytes.resize(10 * stream.cs + 11);
  expect_sound(stream);
}

TEST(Qcow2Check, ReportsAnL2TableThatIsCutShort) {
  ImageBuilder b;
  b.set_l2(0, 0);
  b.set_l2(1, 0);
  b.put64(3 * b.cs, 5 * b.cs | kCopied);
  b.put(2 * b.cs + 8, be16(0));
  b.fill(5 * b.cs, b.cs, 0);
  b.put64(5 * b.cs, kZeroFlag);
  b.bytes.resize(5 * b.cs + 64);
  expect_corrupt(b, "its L2 table is cut short by the end of the file");
}

TEST(Qcow2Check, ReportsSubclustersThatCannotBe) {
  ImageBuilder both = extended();
  both.set_l2(0, 5 * both.cs | kCopied, 0x1'0000'0001);
  expect_corrupt(both, "L2 entry 0 has subclusters both allocated and zero");
  ImageBuilder nowhere = extended();
  nowhere.set_l2(1, 0, 1);
  expect_corrupt(nowhere, "L2 entry 1 has allocated subclusters but no cluster");
  ImageBuilder compressed = extended();
  compressed.set_l2(1, kCompressed | 5 * compressed.cs, 1);
  expect_corrupt(compressed, "L2 entry 1 is compressed and has subclusters");
}

TEST(Qcow2Check, ReportsWhatADataFileForbids) {
  ImageBuilder place = with_data_file();
  place.set_l2(3, 4 * place.cs | kCopied);
  expect_corrupt(place, "L2 entry 3 is not at its own place in the data file");
  ImageBuilder flag = with_data_file();
  flag.set_l2(3, 3 * flag.cs);
  expect_corrupt(flag, "L2 entry 3 lacks the COPIED flag");
  ImageBuilder compressed = with_data_file();
  compressed.set_l2(3, kCompressed | 3 * compressed.cs);
  expect_corrupt(compressed, "L2 entry 3 is compressed in an image with a data file");
}

TEST(Qcow2Check, ReportsFlagsOfAnL1EntryWithoutATable) {
  ImageBuilder b(3, 9, 128);
  b.put64(3 * b.cs + 8, kCopied);
  expect_corrupt(b, "L1 table entry 1: has flags, but points at no L2 table");
}

TEST(Qcow2Check, ReportsRefcountBlocksThatCannotBe) {
  ImageBuilder twice;
  twice.put64(twice.cs + 8, 2 * twice.cs);
  expect_corrupt(twice, "refcount table entry 1: its block at 0x400 is another's");
  ImageBuilder table;
  table.header.refcount_table_offset = 64 * table.cs;
  expect_corrupt(table, "refcount table: past the end of the file");
  table.header.refcount_table_offset = 5;
  expect_corrupt(table, "refcount table: 0x5 is not aligned");
}

TEST(Qcow2Check, ReportsSnapshotsThatCannotBeFollowed) {
  RichImage l1;
  l1.put64(6 * l1.cs, 7 * l1.cs + 8);
  expect_corrupt(l1, "snapshot table entry 0: L1 table: 0x1c08 is not aligned");
  RichImage extra;
  extra.put(6 * extra.cs + 36, be32(5000));
  expect_corrupt(extra, "snapshot table entry 0: 5000 bytes of extra data");
  RichImage many;
  many.header.nb_snapshots = 70000;
  expect_corrupt(many, "snapshot table: 70000 snapshots");
  ImageBuilder none;
  none.header.snapshots_offset = 77;
  expect_corrupt(none, "snapshot table: is empty, but said to be at 0x4d");
  RichImage nowhere;
  nowhere.header.snapshots_offset = 77;
  expect_corrupt(nowhere, "snapshot table: 0x4d is not aligned");
}

TEST(Qcow2Check, ReportsTheMarkButNotTheDirtyBit) {
  ImageBuilder dirty;
  dirty.incompatible(Incompatible::dirty);
  expect_sound(dirty);
  ImageBuilder marked;
  marked.incompatible(Incompatible::corrupt);
  EXPECT_THAT(checked(marked).messages, ElementsAre("header: the image is marked as corrupt"));
}

ImageBuilder with_bitmap() {
  ImageBuilder b;
  test::add_bitmap(b, 6);
  return b;
}

TEST(Qcow2Check, CountsBitmapsThatAreValid) {
  expect_sound(with_bitmap());
  ImageBuilder stale = with_bitmap();
  stale.header.autoclear_features = 0;
  EXPECT_EQ(checked(stale).leaks, 3U);
  EXPECT_EQ(checked(stale).corruptions, 0U);
}

TEST(Qcow2Check, ReportsBitmapsThatCannotBeFollowed) {
  ImageBuilder table = with_bitmap();
  table.put64(6 * table.cs, 7 * table.cs + 1);
  expect_corrupt(table, "bitmap 0: table: 0xe01 is not aligned");
  ImageBuilder entry = with_bitmap();
  entry.put64(7 * entry.cs, 8 * entry.cs | 2);
  expect_corrupt(entry, "bitmap 0: an entry of its table has reserved bits set or is unaligned");
  ImageBuilder type = with_bitmap();
  type.put(6 * type.cs + 16, be16(0x0210));
  expect_corrupt(type, "bitmap 0: its size, type, granularity or name cannot be right");
  ImageBuilder name = with_bitmap();
  name.put(6 * name.cs + 18, be16(9));
  expect_corrupt(name, "bitmap 0: past the end of the directory");
}

TEST(Qcow2Check, SaysWhatIsLeftOfABareHeader) {
  ImageBuilder b;
  b.bytes.resize(b.cs);
  expect_corrupt(b, "nothing of the file is left but its first cluster");
}

TEST(Qcow2Check, CanBeAskedOfAnImageThatIsNotRead) {
  ImageBuilder b;
  b.header.refcount_table_offset = 5;
  EXPECT_FALSE(b.open());
  const auto image = b.open({}, true);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_TRUE((*image)->info().corrupt);
  CheckReport report;
  EXPECT_TRUE((*image)->check(Repair::none, report));
  EXPECT_GT(report.corruptions, 0U);
}

// Calls a check makes of the file.
uint64_t calls_for(const ImageBuilder& b) {
  uint64_t calls = 0;
  const auto file = std::make_shared<platter::test::WrappedFile>(
      b.file(), [&](platter::test::Call) -> Result<void> {
        ++calls;
        return {};
      });
  EXPECT_GT(checked(FilePtr(file)).corruptions, 0U);
  return calls;
}

TEST(Qcow2CheckAttack, OneL2TableUsedAMillionTimesIsReadOnce) {
  ImageBuilder b(3, 16);
  b.header.l1_size = 1'000'000;
  b.header.l1_table_offset = 6 * b.cs;
  for (uint64_t i = 0; i < 1'000'000; ++i) b.put64(6 * b.cs + 8 * i, 4 * b.cs);
  EXPECT_LT(calls_for(b), 2000U);
}

TEST(Qcow2CheckAttack, OneRefcountBlockOfAllEntriesIsReadOnce) {
  ImageBuilder b(3, 16);
  for (uint64_t i = 1; i < b.cs / 8; ++i) b.put64(b.cs + 8 * i, 2 * b.cs);
  EXPECT_LT(calls_for(b), 1000U);
}

TEST(Qcow2CheckAttack, SnapshotsThatShareOneLargeL1TableAreNotFollowedEachTime) {
  ImageBuilder b(3, 9);
  constexpr uint32_t kSnapshots = 60'000, kEntries = 100'000;
  const uint64_t l1 = 16384 * b.cs;
  b.header.nb_snapshots = kSnapshots;
  b.header.snapshots_offset = 6 * b.cs;
  for (uint64_t i = 0; i < kSnapshots; ++i) {
    RawSnapshot entry;
    entry.l1_table_offset = l1;
    entry.l1_size = kEntries;
    entry.extra_data_size = 16;
    b.put(6 * b.cs + i * 56, entry);
  }
  for (uint64_t i = 0; i < kEntries; ++i) b.put64(l1 + 8 * i, 4 * b.cs);
  EXPECT_LT(calls_for(b), 300'000U) << "mostly of the snapshot table";
}

}  // namespace
}  // namespace platter::qcow2
