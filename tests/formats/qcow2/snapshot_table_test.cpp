#include "formats/qcow2/snapshot_table.h"

#include "tests/formats/qcow2/image_builder.h"

namespace platter::qcow2 {
namespace {

using test::all_of;
using test::expect_refused;
using test::ImageBuilder;
using test::must_open;
using test::read;

// Cluster 6 holds the table, 7 the snapshot's L1, 8 its L2, 9 its data (0x51) of guest cluster 1.
struct WithSnapshot : ImageBuilder {
  explicit WithSnapshot(uint32_t version = 3) : ImageBuilder(version, 10) {
    header.nb_snapshots = 1;
    header.snapshots_offset = 6 * cs;
    entry.l1_table_offset = 7 * cs;
    entry.l1_size = 1;
    entry.id_size = 2;
    entry.name_size = 5;
    entry.date_sec = 1700000000;
    entry.date_nsec = 7;
    entry.vm_state_size = 11;
    entry.extra_data_size = sizeof extra;
    extra.disk_size = 2 * cs;
    extra.vm_state_size = uint64_t{1} << 33;
    bytes.resize(10 * cs);
    put64(7 * cs, 8 * cs);
    put64(8 * cs + 8, 9 * cs);
    fill(9 * cs, cs, 0x51);
    write_entry();
  }
  void write_entry() {
    put(6 * cs, entry);
    put(6 * cs + sizeof entry, extra);
    put_text(6 * cs + sizeof entry + entry.extra_data_size, "42first");
  }
  RawSnapshot entry;
  RawSnapshotExtra extra;
};

void expect_unreadable(WithSnapshot& b, std::string_view part) {
  b.write_entry();
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  ASSERT_EQ(image->snapshots().size(), 1U);
  EXPECT_EQ(image->size(1), 0U);
  const auto extent = image->map({0, 1}, 1);
  ASSERT_FALSE(extent);
  EXPECT_EQ(extent.error().code(), Errc::corrupt);
  EXPECT_NE(extent.error().message().find(part), std::string::npos) << extent.error().message();
  ASSERT_EQ(image->info().warnings.size(), 1U);
  EXPECT_NE(image->info().warnings[0].find("\"first\""), std::string::npos);
  EXPECT_EQ(*read(*image, {0, 1}), all_of(0xd5, 1)) << "the disk itself can be read";
}

TEST(Qcow2Snapshots, AreListedAndReadByTheirOwnTable) {
  const ImagePtr image = must_open(WithSnapshot());
  ASSERT_TRUE(image);
  const auto list = image->snapshots();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].id, 1U);
  EXPECT_EQ(list[0].format_id, "42");
  EXPECT_EQ(list[0].name, "first");
  EXPECT_EQ(list[0].size, 2048U);
  EXPECT_EQ(list[0].vm_state, uint64_t{1} << 33);
  EXPECT_EQ(list[0].created_ns, 1700000000LL * 1000000000 + 7);
  EXPECT_EQ(image->size(1), 2048U);
  std::vector<std::byte> expected(2048);
  std::fill(expected.begin() + 1024, expected.end(), std::byte{0x51});
  EXPECT_EQ(*read(*image, {0, 2048}, 1), expected);
  EXPECT_EQ(*read(*image, {0, 1024}), all_of(0xd5, 1024));
}

TEST(Qcow2Snapshots, OfOldWritersHaveTheDisksSize) {
  WithSnapshot b(2);
  b.entry.extra_data_size = 0;
  b.write_entry();
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->size(1), 32 * b.cs);
  EXPECT_EQ(image->snapshots()[0].vm_state, 11U);
  EXPECT_EQ(image->snapshots()[0].name, "first");
}

TEST(Qcow2Snapshots, FollowOneAnotherAtMultiplesOf8) {
  WithSnapshot b;
  b.header.nb_snapshots = 2;
  const uint64_t second = 6 * b.cs + 72;  // 40 + 24 + 7 and a byte of padding
  b.put(second, b.entry);
  b.put(second + 40, b.extra);
  b.put_text(second + 64, "43other");
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  ASSERT_EQ(image->snapshots().size(), 2U);
  EXPECT_EQ(image->snapshots()[1].format_id, "43");
  EXPECT_EQ(image->snapshots()[1].name, "other");
}

TEST(Qcow2Snapshots, RejectMoreThan65536) {
  WithSnapshot b;
  b.header.nb_snapshots = 65537;
  expect_refused(b, Errc::corrupt, "snapshot table: 65537 snapshots");
  b.header.nb_snapshots = 0xffffffff;
  expect_refused(b, Errc::corrupt, "snapshot table");
}

TEST(Qcow2Snapshots, RejectATableThatCannotBe) {
  WithSnapshot b;
  b.header.snapshots_offset = 0;
  expect_refused(b, Errc::corrupt, "snapshot table: at the header's place");
  b.header.snapshots_offset = 6 * b.cs + 8;
  expect_refused(b, Errc::corrupt, "snapshot table: 0x1808 is not aligned");
  b.header.snapshots_offset = 10 * b.cs;
  expect_refused(b, Errc::corrupt, "snapshot table: past the end of the file");
  b.header.snapshots_offset = ~uint64_t{1023};
  expect_refused(b, Errc::corrupt, "snapshot table: past the end of the file");
  b.header.snapshots_offset = 6 * b.cs;
  b.header.nb_snapshots = 65536;
  expect_refused(b, Errc::corrupt, "snapshot table: past the end of the file");
}

TEST(Qcow2Snapshots, RejectAnEntryThatRunsOutOfTheFile) {
  WithSnapshot b;
  b.header.snapshots_offset = 9 * b.cs;
  b.entry.name_size = 0xffff;
  b.put(9 * b.cs, b.entry);
  expect_refused(b, Errc::corrupt, "snapshot table entry 0: past the end of the file");
}

TEST(Qcow2Snapshots, RejectTooMuchOrTooLittleExtraData) {
  WithSnapshot b;
  for (const uint32_t size : {1025U, 0xffffffffU, 15U, 0U}) {
    b.entry.extra_data_size = size;
    b.put(6 * b.cs, b.entry);
    expect_refused(b, Errc::corrupt, "bytes of extra data");
  }
}

TEST(Qcow2Snapshots, CannotBeReadWithAnL1TableThatCannotBe) {
  WithSnapshot b;
  b.entry.l1_size = 4194305;
  expect_unreadable(b, "L1 table: too large");
  b.entry.l1_size = 0xffffffff;
  expect_unreadable(b, "L1 table: too large");
  b.entry.l1_size = 1;
  b.entry.l1_table_offset = 7 * b.cs + 1;
  expect_unreadable(b, "not aligned");
  b.entry.l1_table_offset = 0;
  expect_unreadable(b, "at the header's place");
  b.entry.l1_table_offset = 10 * b.cs;
  expect_unreadable(b, "past the end of the file");
  b.entry.l1_table_offset = ~uint64_t{1023};
  b.extra.disk_size = ~uint64_t{0};
  expect_unreadable(b, "past the end of the file");
}

TEST(Qcow2Snapshots, CannotBeReadWithAnL1TableTooSmallForTheirDisk) {
  WithSnapshot b;
  for (const uint64_t size : {uint64_t{1024 * 128 + 512}, ~uint64_t{0}}) {
    b.extra.disk_size = size;
    expect_unreadable(b, "L1 table: too small");
  }
}

}  // namespace
}  // namespace platter::qcow2
