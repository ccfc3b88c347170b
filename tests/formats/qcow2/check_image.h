// Checks and repairs of images in memory.
#pragma once

#include "formats/qcow2/check.h"
#include "tests/formats/qcow2/image_builder.h"

namespace platter::qcow2::test {

inline Result<CheckReport> check_file(const FilePtr& file, Repair repair = Repair::none) {
  CheckReport report;
  TRY(check_image(*file, repair, report));
  return report;
}

inline CheckReport checked(const FilePtr& file) {
  auto report = check_file(file);
  EXPECT_TRUE(report) << report.error().message();
  return report ? *report : CheckReport{};
}
inline CheckReport checked(const ImageBuilder& builder) { return checked(builder.file()); }

inline CheckReport repaired(const FilePtr& file, Repair repair = Repair::all) {
  auto report = check_file(file, repair);
  EXPECT_TRUE(report) << report.error().message();
  return report ? *report : CheckReport{};
}

inline std::vector<std::byte> bytes_of_file(const File& file) {
  std::vector<std::byte> bytes(file.stat()->size);
  EXPECT_TRUE(file.read_exact(0, bytes));
  return bytes;
}

inline uint64_t word_of(const File& file, uint64_t offset) {
  return *file.read_struct<be64>(offset);
}

// The disk of an image that names no other file.
inline Result<std::vector<std::byte>> disk_of(const FilePtr& file, SnapshotId snapshot = 0) {
  const auto denied = deny_resolver("the image is alone");
  const auto image = TRY(find_format("qcow2")->open(OpenRequest{
      .file = file, .resolver = *denied, .tables = std::make_shared<PageCache>(1 * MiB)}));
  return read(*image, {0, image->size(snapshot)}, snapshot);
}

// A sound image with all that an image can have: clusters of 1 KiB, and beside what ImageBuilder
// has
//   6 snapshot table, 7 the snapshot's L1 table, 8 its L2 table, 9 its data of guest cluster 1,
//   10 a compressed cluster of 0x51 (guest cluster 2), 11 data of guest cluster 3 that the snapshot
//   has, too.
struct RichImage : ImageBuilder {
  static constexpr uint64_t kClusters = 12;
  explicit RichImage(uint32_t version = 3) : ImageBuilder(version, 10) {
    bytes.resize(kClusters * cs);
    header.nb_snapshots = 1;
    header.snapshots_offset = 6 * cs;
    RawSnapshot entry;
    entry.l1_table_offset = 7 * cs;
    entry.l1_size = 1;
    entry.id_size = 1;
    entry.name_size = 5;
    entry.extra_data_size = sizeof(RawSnapshotExtra);
    RawSnapshotExtra extra;
    extra.disk_size = 32 * cs;
    put(6 * cs, entry);
    put(6 * cs + sizeof entry, extra);
    put_text(6 * cs + sizeof entry + sizeof extra, "1first");
    put64(7 * cs, 8 * cs | kCopied);
    put64(8 * cs + 8, 9 * cs | kCopied);
    fill(9 * cs, cs, 0x91);
    put64(8 * cs + 24, 11 * cs);
    set_l2(3, 11 * cs);
    fill(11 * cs, cs, 0xb1);
    set_l2(2, kCompressed | uint64_t{1} << 60 | 10 * cs);
    // Raw deflate, as zlib makes it of 1 KiB of 0x51.
    constexpr uint8_t kStream[] = {0x0b, 0x0c, 0x1c, 0x05, 0xa3, 0x60, 0x14, 0x8c, 0x54, 0, 0};
    put_bytes(10 * cs, std::as_bytes(std::span(kStream)));
    for (uint64_t i = 6; i < kClusters; ++i) set_refcount(i, i == 11 ? 2 : 1);
  }
  void set_refcount(uint64_t cluster, uint16_t count) { put(2 * cs + 2 * cluster, be16(count)); }
};

// A valid bitmap of the disk: its directory in cluster first, its table and its data behind that.
inline void add_bitmap(ImageBuilder& b, uint64_t first) {
  RawBitmaps raw;
  raw.count = 1;
  raw.directory_size = 32;
  raw.directory_offset = first * b.cs;
  b.header.autoclear_features = kBitmapsValid;
  b.extension(ExtensionType::bitmaps, {reinterpret_cast<const char*>(&raw), sizeof raw});
  b.bytes.resize((first + 3) * b.cs);
  b.put64(first * b.cs, (first + 1) * b.cs);
  b.put(first * b.cs + 8, be32(2));
  b.put(first * b.cs + 16, be16(0x0110));  // dirty tracking, 64 KiB a bit
  b.put(first * b.cs + 18, be16(2));
  b.put_text(first * b.cs + 24, "b0");
  b.put64((first + 1) * b.cs, (first + 2) * b.cs);
  b.put64((first + 1) * b.cs + 8, 1);
  for (uint64_t i = first; i < first + 3; ++i) b.put(2 * b.cs + 2 * i, be16(1));
}

}  // namespace platter::qcow2::test
