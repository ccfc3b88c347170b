// VhdBuilder: VHD files byte by byte, right and wrong ones. Knows the offsets of the format by
// number, so that it checks the structures of formats/vhd instead of sharing them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

struct VhdBuilder {
  static constexpr uint32_t kUnused = 0xffffffff;
  struct Block {
    std::vector<uint8_t> bits;  // the bitmap's first bytes; the others are 0xff
    uint8_t first = 0;          // its bytes begin with this one and count up, a sector each
  };
  struct Locator {
    std::string code;
    std::string text;  // as it is stored
    std::optional<uint32_t> length = std::nullopt;
    std::optional<uint64_t> offset = std::nullopt;
    std::optional<uint32_t> space = std::nullopt;
  };

  uint32_t type = 3;
  std::string creator = "win ";
  uint32_t version = 0x10000;
  std::optional<uint64_t> disk_size;  // else all of the table
  std::optional<uint64_t> original_size;
  uint16_t cylinders = 0;
  uint8_t heads = 0, track = 0;
  uint8_t saved_state = 0;
  Uuid uuid = *Uuid::parse("11111111-2222-4333-8444-555555555555");
  uint32_t block_size = 4096;
  std::vector<uint32_t> table;            // entries: sectors; 'B' + n: see place_of()
  std::optional<uint32_t> entries;        // else what the table has
  std::optional<uint64_t> table_offset;   // else 1536
  std::optional<uint64_t> header_offset;  // else 512
  Uuid parent_uuid;
  uint32_t parent_changed = 0;
  std::string parent_name;  // ASCII
  std::vector<Locator> locators;
  std::optional<uint64_t> data_offset;  // else behind the table and the locators
  std::vector<Block> blocks;            // in the file, one behind the other
  std::vector<uint8_t> fixed;           // of a fixed disk: a byte a sector
  bool head_copy = true, tail = true;
  // The last words: bytes put over what has been built. Checksums are of what was before.
  std::map<uint64_t, uint64_t> words32;
  // Put over the footers and the header, before their checksums.
  std::map<uint64_t, uint64_t> footer_words32, header_words32;
  std::optional<uint64_t> file_size;  // else to the end of the footer

  uint64_t bitmap() const;  // bytes
  uint64_t stride() const { return bitmap() + block_size; }
  uint64_t data_at() const;
  // The sector the n-th of blocks begins at.
  uint32_t sector_of(size_t n) const {
    return static_cast<uint32_t>((data_at() + n * stride()) / 512);
  }
  // Where the footer at the end begins.
  uint64_t tail_at() const;
  // The table points at the blocks of these numbers; -1: unused.
  VhdBuilder& point(const std::vector<int>& numbers);

  std::vector<std::byte> footer() const;  // 512 bytes
  std::vector<std::byte> build() const;
  // The bytes in a file of memory; sparse where file_size is far behind.
  std::shared_ptr<MemoryFile> file(const std::string& name = "test.vhd") const;
};

// What byte i of a block of data that begins with first is.
inline std::byte vhd_byte(uint8_t first, uint64_t i) {
  return static_cast<std::byte>(static_cast<uint8_t>(first + i / 512));
}

// UTF-16, little-endian; ASCII only.
std::string utf16le(const std::string& text);

// Opens it as a VHD that may name no other file.
Result<ImagePtr> open_vhd(FilePtr file, bool info_only = false);

// As older programs leave one.
inline constexpr uint64_t kVhdUsedSize = 24 * 1024 - 512;
VhdBuilder used_vhd();

}  // namespace platter::test
