// ScatteredImage: a qcow2 image with one of everything, and most of it far behind the rest.
#pragma once

#include "tests/formats/qcow2/check_image.h"

namespace platter::qcow2::test {

// Clusters of 512 bytes. In front: 0 header, 1 refcount block of clusters 0 to 255, 2 L2 table of
// the first 64 guest clusters, 10 data of guest cluster 0. All else is from kFar on, and counted by
// a block that lies there itself. Without faults, but for one cluster that leaks.
struct ScatteredImage : ImageBuilder {
  static constexpr uint64_t kFar = 260;
  // Clusters in use, of which the far refcount block is of no use in front.
  static constexpr uint64_t kUsed = 23, kUsedByBitmap = 3;

  explicit ScatteredImage(uint32_t version = 3, bool with_bitmap = true)
      : ImageBuilder(version, 9, 192) {
    std::ranges::fill(bytes, std::byte{0});
    put_tables();
    put_disk();
    put_snapshot();
    if (with_bitmap) put_bitmap();
    set_refcount(kFar + 40, 1);
    bytes.resize((kFar + 41) * cs);
  }

  uint64_t at(uint64_t cluster) const { return cluster * cs; }
  void set_refcount(uint64_t cluster, uint16_t count) {
    put(at(cluster < 256 ? 1 : kFar + 22) + 2 * (cluster % 256), be16(count));
  }
  void take(uint64_t cluster, uint8_t value, uint16_t count = 1) {
    fill(at(cluster), cs, value);
    set_refcount(cluster, count);
  }

  void put_tables() {
    header.refcount_table_offset = at(kFar + 20);
    put64(at(kFar + 20), at(1));
    put64(at(kFar + 20) + 8, at(kFar + 22));
    for (const uint64_t cluster : {uint64_t{0}, uint64_t{1}, uint64_t{2}, kFar + 20, kFar + 22}) {
      set_refcount(cluster, 1);
    }
    header.l1_table_offset = at(kFar + 10);
    header.l1_size = 3;
    set_refcount(kFar + 10, 1);
    put64(at(kFar + 10), at(2) | kCopied);
    put64(at(kFar + 10) + 8, at(kFar + 7) | kCopied);
    put64(at(kFar + 10) + 16, at(kFar + 24));
    set_refcount(kFar + 7, 1);
    set_refcount(kFar + 24, 2);
  }

  void put_disk() {
    take(10, 0xd5);
    put64(at(2), at(10) | kCopied);
    take(kFar + 2, 0xd3);
    put64(at(2) + 3 * 8, at(kFar + 2) | kCopied);
    take(kFar + 8, 0xd8);
    put64(at(kFar + 7), at(kFar + 8) | kCopied);
    // Two streams through three clusters: stored blocks of deflate.
    put_stream(kFar + 4, 100, 4);
    put_stream(kFar + 5, 105, 5);
    for (uint64_t i = 0; i < 3; ++i) set_refcount(kFar + 4 + i, i == 1 ? 2 : 1);
  }
  void put_stream(uint64_t cluster, uint64_t inside, uint64_t guest) {
    const uint64_t host = at(cluster) + inside, length = 5 + cs;
    put64(at(2) + guest * 8, compressed_word(9, host, length) | kCompressed);
    const uint8_t head[] = {1, 0, 2, 0xff, 0xfd};
    put_bytes(host, std::as_bytes(std::span(head)));
    for (uint64_t i = 0; i < cs; ++i) fill(host + 5 + i, 1, static_cast<uint8_t>(guest * 37 + i));
  }

  // It shares a data cluster, and an L2 table, with the disk.
  void put_snapshot() {
    header.nb_snapshots = 1;
    header.snapshots_offset = at(kFar + 12);
    set_refcount(kFar + 12, 1);
    RawSnapshot entry;
    entry.l1_table_offset = at(kFar + 13);
    entry.l1_size = 3;
    entry.id_size = 1;
    entry.name_size = 5;
    entry.extra_data_size = sizeof(RawSnapshotExtra);
    RawSnapshotExtra extra;
    extra.disk_size = header.size;
    put(at(kFar + 12), entry);
    put(at(kFar + 12) + sizeof entry, extra);
    put_text(at(kFar + 12) + sizeof entry + sizeof extra, "1first");
    set_refcount(kFar + 13, 1);
    put64(at(kFar + 13), at(kFar + 14) | kCopied);
    put64(at(kFar + 13) + 16, at(kFar + 24));
    set_refcount(kFar + 14, 1);
    take(kFar, 0xa1, 2);
    put64(at(2) + 8, at(kFar));
    put64(at(kFar + 14) + 8, at(kFar));
    take(kFar + 15, 0xa2);
    put64(at(kFar + 14) + 16, at(kFar + 15) | kCopied);
    take(kFar + 25, 0xa3, 2);
    put64(at(kFar + 24) + 40, at(kFar + 25));
  }

  void put_bitmap() {
    RawBitmaps raw;
    raw.count = 1;
    raw.directory_size = 32;
    raw.directory_offset = at(kFar + 16);
    header.autoclear_features = kBitmapsValid;
    extension(ExtensionType::bitmaps, {reinterpret_cast<const char*>(&raw), sizeof raw});
    put64(at(kFar + 16), at(kFar + 17));
    put(at(kFar + 16) + 8, be32(1));
    put(at(kFar + 16) + 16, be16(0x0110));  // dirty tracking, 64 KiB a bit
    put(at(kFar + 16) + 18, be16(2));
    put_text(at(kFar + 16) + 24, "b0");
    put64(at(kFar + 17), at(kFar + 18));
    for (uint64_t i = 16; i < 18; ++i) set_refcount(kFar + i, 1);
    take(kFar + 18, 0xb0);
  }
};

}  // namespace platter::qcow2::test
