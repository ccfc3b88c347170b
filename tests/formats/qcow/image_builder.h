// A qcow image written down byte by byte, and what is asked of one.
#pragma once

#include <string>
#include <vector>

#include "formats/qcow/layout.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/support/open_disk.h"

namespace platter::qcow::test {

// Clusters and tables of 512 bytes: a table has 64 entries, 32 KiB of the disk. Everything lies at
// multiples of 512: the header with the L1 table at 0, tables and clusters where a test puts them.
struct ImageBuilder {
  explicit ImageBuilder(uint64_t disk_size = 64 * KiB) {
    header.magic = kMagic;
    header.version = kVersion;
    header.size = disk_size;
    header.cluster_bits = 9;
    header.l2_bits = 6;
    header.l1_table_offset = sizeof header;
    bytes.resize(512);
  }
  ImageBuilder& word(uint64_t at, uint64_t value) {
    if (bytes.size() < at + sizeof value) bytes.resize(align_up(at + sizeof value, 512));
    store(bytes, at, be64(value));
    return *this;
  }
  ImageBuilder& l1(uint64_t index, uint64_t table) {
    if (table % 512 == 0 && table < MiB && bytes.size() < table + 512) bytes.resize(table + 512);
    return word(header.l1_table_offset + 8 * index, table);
  }
  ImageBuilder& l2(uint64_t table, uint64_t index, uint64_t entry) {
    return word(table + 8 * index, entry);
  }
  // A cluster full of this byte.
  ImageBuilder& cluster(uint64_t at, int value) {
    if (bytes.size() < at + 512) bytes.resize(at + 512);
    std::fill_n(bytes.begin() + static_cast<long>(at), 512, static_cast<std::byte>(value));
    return *this;
  }
  ImageBuilder& backing(const std::string& name) {
    header.backing_file_offset = sizeof header;
    header.backing_file_size = static_cast<uint32_t>(name.size());
    header.l1_table_offset = align_up(sizeof header + name.size(), 8);
    if (bytes.size() < 2048) bytes.resize(2048);
    std::memcpy(bytes.data() + sizeof header, name.data(), name.size());
    return *this;
  }
  std::shared_ptr<MemoryFile> file() {
    store(bytes, 0, header);
    return std::make_shared<MemoryFile>("test.qcow", bytes);
  }

  RawHeader header;
  std::vector<std::byte> bytes;
};

inline Result<ImagePtr> open_qcow(const FilePtr& file, Epochs* epochs = nullptr) {
  const auto denied = deny_resolver("a test image is alone");
  return find_format("qcow")->open({.file = file,
                                    .resolver = *denied,
                                    .tables = std::make_shared<PageCache>(MiB),
                                    .writable = epochs != nullptr,
                                    .epochs = epochs});
}

// Opened for writing, perhaps over a parent.
class Disk : public platter::test::OpenDisk {
 public:
  explicit Disk(const FilePtr& file, const Image* parent = nullptr)
      : OpenDisk([&](Epochs& epochs) { return open_qcow(file, &epochs); }, parent) {}
};

inline uint64_t word_of(const File& file, uint64_t at) {
  const auto value = file.read_struct<be64>(at);
  return value ? uint64_t{*value} : 0xeeeeeeee;
}

inline CheckReport checked(const FilePtr& file, Repair how = Repair::none) {
  CheckReport report;
  Epochs epochs;
  const auto image = open_qcow(file, how == Repair::none ? nullptr : &epochs);
  if (!image) {
    report.corruption(image.error().message());
  } else if (const auto done = (*image)->check(how, report); !done) {
    report.corruption(done.error().message());
  }
  return report;
}

// 22 bytes that inflate to 4096 of 0xbb (QEMU's own, deflate with a window of 12 bits).
inline constexpr unsigned char kStream[] = {0xed, 0xc1, 0x01, 0x0d, 0x00, 0x00, 0x00, 0xc2,
                                            0xa0, 0xfe, 0x99, 0x5e, 0xce, 0x1e, 0x0e, 0x28,
                                            0x00, 0x00, 0x00, 0xe0, 0xdd, 0x00};

// A disk of 64 KiB in clusters of 4 KiB: absent, 0xaa at 0x2000, 0xbb compressed at 0x3000.
inline ImageBuilder with_a_compressed_cluster() {
  ImageBuilder b(64 * KiB);
  b.header.cluster_bits = 12;
  b.header.l2_bits = 9;
  b.l1(0, 0x1000);
  b.l2(0x1000, 1, 0x2000);
  b.l2(0x1000, 2, 0x80b0000000003000);
  b.bytes.resize(0x3000 + sizeof kStream);
  std::fill_n(b.bytes.begin() + 0x2000, 4096, std::byte{0xaa});
  std::memcpy(b.bytes.data() + 0x3000, kStream, sizeof kStream);
  return b;
}

}  // namespace platter::qcow::test
