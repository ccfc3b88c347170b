// ImageBuilder: a valid qcow2 image in memory, of which a test breaks or changes one field.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "formats/qcow2/layout.h"
#include "lib/container/view.h"
#include "lib/image/format.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"

namespace platter::qcow2::test {

// Clusters: 0 header, 1 refcount table, 2 refcount block, 3 L1 table, 4 L2 table of its first
// entry, 5 a data cluster of 0xd5 that guest cluster 0 is in. Everything else is unallocated.
class ImageBuilder {
 public:
  explicit ImageBuilder(uint32_t version = 3, uint32_t cluster_bits = 9, uint64_t clusters = 32)
      : cs(uint64_t{1} << cluster_bits) {
    header.magic = kMagic;
    header.version = version;
    header.cluster_bits = cluster_bits;
    header.size = clusters * cs;
    header.l1_size = static_cast<uint32_t>((clusters + cs / 16 - 1) / (cs / 16));
    header.l1_table_offset = 3 * cs;
    header.refcount_table_offset = cs;
    header.refcount_table_clusters = 1;
    header.refcount_order = 4;
    header.header_length = sizeof(RawHeader);
    bytes.resize(6 * cs);
    put64(cs, 2 * cs);
    for (uint64_t i = 0; i < 6; ++i) put(2 * cs + 2 * i, be16(1));
    put64(3 * cs, 4 * cs | kCopied);
    set_l2(0, 5 * cs | kCopied);
    fill(5 * cs, cs, 0xd5);
  }

  // Writes past the end make the file longer.
  template <DiskStruct T>
  void put(uint64_t offset, const T& value) {
    grow(offset + sizeof value);
    store(MutableBytes(bytes), offset, value);
  }
  void put64(uint64_t offset, uint64_t value) { put(offset, be64(value)); }
  void put_bytes(uint64_t offset, Bytes data) {
    grow(offset + data.size());
    std::copy(data.begin(), data.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
  }
  void put_text(uint64_t offset, std::string_view text) {
    put_bytes(offset, std::as_bytes(std::span(text)));
  }
  void fill(uint64_t offset, uint64_t length, uint8_t value) {
    grow(offset + length);
    std::memset(bytes.data() + offset, value, length);
  }
  void set_l2(uint64_t index, uint64_t word) { put64(4 * cs + index * 8, word); }
  void set_l2(uint64_t index, uint64_t word, uint64_t bitmap) {
    put64(4 * cs + index * 16, word);
    put64(4 * cs + index * 16 + 8, bitmap);
  }
  void incompatible(Incompatible bit) {
    header.incompatible_features = header.incompatible_features | static_cast<uint64_t>(bit);
  }
  // Appended behind the extensions there are; the area's end marker is what was zero.
  void extension(ExtensionType type, std::string_view data) {
    extension(static_cast<uint32_t>(type), static_cast<uint32_t>(data.size()), data);
  }
  void extension(uint32_t type, uint32_t length, std::string_view data) {
    const uint64_t at = header_end() + extension_bytes;
    put(at, RawExtension{type, length});
    put_text(at + 8, data);
    extension_bytes += 8 + (data.size() + 7) / 8 * 8;
  }
  void backing(std::string_view name, uint64_t offset = 384) {
    header.backing_file_offset = offset;
    header.backing_file_size = static_cast<uint32_t>(name.size());
    put_text(offset, name);
  }

  FilePtr file() const {
    std::vector<std::byte> contents = bytes;
    const size_t size =
        std::min<size_t>(header.version == 2 ? kHeaderV2Size : sizeof header, contents.size());
    std::memcpy(
        contents.data(), &header,
        header.header_length == kHeaderV3Size ? std::min<size_t>(size, kHeaderV3Size) : size);
    return std::make_shared<MemoryFile>("test.qcow2", contents);
  }

  Result<ImagePtr> open(std::map<std::string, FilePtr> others = {}, bool info_only = false) const {
    const auto resolver = map_resolver(std::move(others));
    return find_format("qcow2")->open(OpenRequest{.file = file(),
                                                  .resolver = *resolver,
                                                  .tables = std::make_shared<PageCache>(1 * MiB),
                                                  .info_only = info_only});
  }

  const uint64_t cs;
  RawHeader header;
  std::vector<std::byte> bytes;  // but for the header
  uint64_t extension_bytes = 0;

 private:
  uint64_t header_end() const {
    return header.version == 2 ? kHeaderV2Size : uint64_t{header.header_length};
  }
  void grow(uint64_t size) {
    if (bytes.size() < size) bytes.resize(size);
  }
};

inline ImagePtr must_open(const ImageBuilder& builder, std::map<std::string, FilePtr> others = {}) {
  auto image = builder.open(std::move(others));
  EXPECT_TRUE(image) << image.error().message();
  return image ? std::move(*image) : nullptr;
}

inline void expect_refused(const ImageBuilder& builder, Errc code, std::string_view part) {
  const auto image = builder.open();
  ASSERT_FALSE(image) << "opened";
  EXPECT_EQ(image.error().code(), code) << image.error().message();
  EXPECT_NE(image.error().message().find(part), std::string::npos) << image.error().message();
}

inline Result<std::vector<std::byte>> read(const Image& image, const Range& range,
                                           SnapshotId snapshot = 0) {
  BlockCache blocks(1 * MiB);
  const View view({{&image, snapshot}}, blocks);
  std::vector<std::byte> out(range.length);
  TRY(view.read(range.offset, out));
  return out;
}

inline void expect_read_fails(const ImageBuilder& builder, uint64_t offset, std::string_view part) {
  const ImagePtr image = must_open(builder);
  ASSERT_TRUE(image);
  const auto bytes = read(*image, {offset, 1});
  ASSERT_FALSE(bytes) << "was read";
  EXPECT_EQ(bytes.error().code(), Errc::corrupt);
  EXPECT_NE(bytes.error().message().find(part), std::string::npos) << bytes.error().message();
}

inline std::vector<std::byte> all_of(uint8_t value, uint64_t length) {
  return std::vector<std::byte>(length, std::byte{value});
}

}  // namespace platter::qcow2::test
