// The structures of Apple's UDIF, which Apple has not published. The fields as hdiutil writes them
// and QEMU (block/dmg.c), dmg2img and 7-Zip (DmgHandler.cpp) read them. Everything is big-endian; a
// sector is 512 bytes.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter::dmg {

inline constexpr uint64_t kSector = 512;

inline constexpr uint32_t kTrailerMagic = 0x6b6f6c79;  // "koly"
inline constexpr uint32_t kTrailerVersion = 4;
inline constexpr uint32_t kTableMagic = 0x6d697368;  // "mish"
inline constexpr uint32_t kTableVersion = 1;

struct StoredChecksum {
  be32 type;  // 0: none; 2: CRC-32
  be32 bits;
  be32 value;  // of a CRC-32
  std::array<std::byte, 124> rest = {};
};
static_assert(sizeof(StoredChecksum) == 136);
inline constexpr uint32_t kNoChecksum = 0, kCrc32 = 2;

// The last 512 bytes of the file, most often.
struct Trailer {
  be32 magic, version;
  be32 header_size;  // 512
  be32 flags;
  be64 running_data_fork_offset;
  be64 data_fork_offset, data_fork_length;          // the chunks
  be64 resource_fork_offset, resource_fork_length;  // the tables, in old images
  be32 segment, segments;
  std::array<std::byte, 16> segment_id = {};
  StoredChecksum data_fork_checksum;  // of the fork's bytes as they stand there
  be64 xml_offset, xml_length;        // the tables
  std::array<std::byte, 120> reserved1 = {};
  StoredChecksum master_checksum;  // of the values of the tables' checksums
  be32 variant;                    // 1: a device; 2: a partition
  be64 sectors;                    // of the disk
  std::array<std::byte, 12> reserved2 = {};
};
static_assert(sizeof(Trailer) == 512 && DiskStruct<Trailer>);
static_assert(offsetof(Trailer, data_fork_checksum) == 0x50);
static_assert(offsetof(Trailer, xml_offset) == 0xd8);
static_assert(offsetof(Trailer, master_checksum) == 0x160);
static_assert(offsetof(Trailer, sectors) == 0x1ec);

// The table of a part of the disk, most often a partition; its chunks follow.
struct TableHeader {
  be32 magic, version;
  be64 first_sector, sectors;  // of the disk
  be64 data_offset;  // what the offsets of its chunks begin at, from the data fork's start
  be32 buffers, descriptor;
  std::array<std::byte, 24> reserved = {};
  StoredChecksum checksum;  // of what the chunks make, but for those of type kIgnored
  be32 chunks;
};
static_assert(sizeof(TableHeader) == 204 && DiskStruct<TableHeader>);
static_assert(offsetof(TableHeader, checksum) == 64);

struct StoredChunk {
  be32 type;
  be32 comment;
  be64 first_sector, sectors;  // of the part
  be64 offset, length;         // bytes
};
static_assert(sizeof(StoredChunk) == 40 && DiskStruct<StoredChunk>);

inline constexpr uint32_t kZeroes = 0x00000000;
inline constexpr uint32_t kRaw = 0x00000001;
inline constexpr uint32_t kIgnored = 0x00000002;  // nobody uses these sectors: zeroes
inline constexpr uint32_t kComment = 0x7ffffffe;
inline constexpr uint32_t kAdc = 0x80000004;
inline constexpr uint32_t kZlib = 0x80000005;
inline constexpr uint32_t kBzip2 = 0x80000006;
inline constexpr uint32_t kLzfse = 0x80000007;
inline constexpr uint32_t kXz = 0x80000008;
inline constexpr uint32_t kEnd = 0xffffffff;

// QEMU's limits for a compressed chunk.
inline constexpr uint64_t kMaxStored = 64 * MiB, kMaxUnit = 64 * MiB;

// A binary resource fork begins with this, its data with items: be32 length, and the bytes.
struct ResourceForkHeader {
  be32 data_offset, map_offset, data_length, map_length;
};
static_assert(sizeof(ResourceForkHeader) == 16);

}  // namespace platter::dmg
