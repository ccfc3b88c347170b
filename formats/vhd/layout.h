// The structures of a VHD file, from Microsoft's "Virtual Hard Disk Image Format Specification"
// (2006); what it leaves open is as QEMU's block/vpc.c and libvhdi read it. Everything is
// big-endian but for the text of parent locators.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter::vhd {

inline constexpr uint64_t kSector = 512;

inline constexpr std::array<char, 8> kFooterCookie = {'c', 'o', 'n', 'e', 'c', 't', 'i', 'x'};
inline constexpr std::array<char, 8> kHeaderCookie = {'c', 'x', 's', 'p', 'a', 'r', 's', 'e'};

// Others are reserved, or no disk at all.
enum class Type : uint32_t { fixed = 2, dynamic = 3, differencing = 4 };

struct DiskGeometry {
  be16 cylinders;
  uint8_t heads = 0;
  uint8_t sectors = 0;  // a track
};

// "Hard Disk Footer Format". The last sector of the file, and the first one of a file with a
// dynamic header. Virtual PC before 2004 left its last byte out.
struct Footer {
  std::array<char, 8> cookie = {};
  be32 features;  // bit 1 is always set
  be32 version;
  be64 header_offset;  // of the dynamic header; none: all bits
  be32 created;        // seconds since 2000
  std::array<char, 4> creator = {};
  be32 creator_version;  // major << 16 | minor
  std::array<char, 4> creator_os = {};
  be64 original_size;  // bytes, as the rest
  be64 current_size;
  DiskGeometry geometry;
  be32 type;
  be32 checksum;  // one's complement of the sum of all bytes but these four
  std::array<std::byte, 16> uuid = {};
  uint8_t saved_state = 0;  // 1: belongs to the saved state of a machine
  std::array<std::byte, 427> reserved = {};
};
static_assert(sizeof(Footer) == 512 && DiskStruct<Footer>);
static_assert(offsetof(Footer, header_offset) == 16 && offsetof(Footer, current_size) == 48);
static_assert(offsetof(Footer, checksum) == 64 && offsetof(Footer, saved_state) == 84);

inline constexpr uint64_t kShortFooter = 511;
inline constexpr uint32_t kVersion = 0x00010000;
inline constexpr uint64_t kNoOffset = ~uint64_t{0};

struct ParentLocator {
  std::array<char, 4> code = {};
  be32 space;   // sectors by the text; Virtual PC and Hyper-V store bytes
  be32 length;  // bytes
  be32 reserved;
  be64 offset;  // bytes
};
static_assert(sizeof(ParentLocator) == 24);

inline constexpr size_t kLocators = 8;
inline constexpr size_t kNameUnits = 256;  // of UTF-16

// "Dynamic Disk Header Format".
struct DynamicHeader {
  std::array<char, 8> cookie = {};
  be64 next;  // all bits
  be64 table_offset;
  be32 version;
  be32 entries;     // of the block allocation table
  be32 block_size;  // bytes, without the sector bitmap in front
  be32 checksum;    // as the footer's
  std::array<std::byte, 16> parent_uuid = {};
  be32 parent_changed;  // the parent's file, seconds since 2000
  be32 reserved;
  std::array<be16, kNameUnits> parent_name = {};  // UTF-16, ends with a NUL
  std::array<ParentLocator, kLocators> locators = {};
  std::array<std::byte, 256> reserved_end = {};
};
static_assert(sizeof(DynamicHeader) == 1024 && DiskStruct<DynamicHeader>);
static_assert(offsetof(DynamicHeader, checksum) == 36 &&
              offsetof(DynamicHeader, parent_uuid) == 40);
static_assert(offsetof(DynamicHeader, parent_name) == 64 &&
              offsetof(DynamicHeader, locators) == 576);
// What a resize changes of it is in its first sector: one write cannot be torn.
static_assert(offsetof(DynamicHeader, parent_name) < kSector);

// An entry of the block allocation table; any other is the sector a block's bitmap begins at.
inline constexpr uint32_t kUnused = 0xffffffff;

inline constexpr uint64_t kMinBlockSize = kSector;
inline constexpr uint64_t kDefaultBlockSize = 2 * MiB;
inline constexpr uint64_t kMaxBlockSize = 256 * MiB;
// 2040 GiB: what Windows makes at most, for entries are sectors of 32 bits.
inline constexpr uint64_t kMaxDiskSize = uint64_t{0xff000000} * kSector;
// Where no block can begin any more.
inline constexpr uint64_t kMaxFileSize = uint64_t{kUnused} * kSector;

inline constexpr int64_t kEpoch = 946684800;  // 2000-01-01T00:00:00Z, seconds since 1970

// Bytes of the bitmap in front of a block: a bit a sector, the highest bit of a byte first.
constexpr uint64_t bitmap_size(uint64_t block_size) {
  return align_up((block_size / kSector + 7) / 8, kSector);
}

}  // namespace platter::vhd
