// The structures of a VDI file as VirtualBox defines them (VDICore.h: VDIPREHEADER, VDIHEADER0,
// VDIHEADER1PLUS). Everything is little-endian; UUIDs are in Microsoft's byte order.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter::vdi {

using DiskUuid = std::array<std::byte, 16>;

// VDIPREHEADER, at 0.
struct PreHeader {
  std::array<char, 64> text = {};  // for people only
  le32 signature;
  le32 version;  // major << 16 | minor
};
static_assert(sizeof(PreHeader) == 72 && DiskStruct<PreHeader>);

inline constexpr uint32_t kSignature = 0xbeda107f;
inline constexpr uint32_t kVersion11 = 0x00010001;

// VDIDISKGEOMETRY.
struct DiskGeometry {
  le32 cylinders, heads, sectors;
  le32 sector_size;  // 512
};
static_assert(sizeof(DiskGeometry) == 16);

enum class Type : uint32_t { dynamic = 1, fixed = 2, undo = 3, differencing = 4 };

// VDIHEADER1PLUS, behind the pre-header; VDIHEADER1 is the same without lchs.
struct Header1 {
  le32 header_size;  // bytes: 384, or from 400 on with lchs
  le32 type;
  le32 flags;
  std::array<char, 256> comment = {};
  le32 map_offset;
  le32 data_offset;
  DiskGeometry legacy_geometry;
  le32 unused;
  le64 disk_size;    // bytes
  le32 block_size;   // bytes
  le32 block_extra;  // bytes in front of each block's data
  le32 blocks;       // entries of the block map
  le32 blocks_allocated;
  DiskUuid uuid = {};
  DiskUuid modification_uuid = {};
  DiskUuid parent_uuid = {};
  DiskUuid parent_modification_uuid = {};
  DiskGeometry lchs;
};
static_assert(sizeof(Header1) == 400 && DiskStruct<Header1>);
static_assert(offsetof(Header1, map_offset) == 340 - 72);
static_assert(offsetof(Header1, disk_size) == 368 - 72);
static_assert(offsetof(Header1, uuid) == 392 - 72);
static_assert(offsetof(Header1, lchs) == 384);

// Of blocks_allocated, in the file.
inline constexpr uint64_t kCountAt = sizeof(PreHeader) + offsetof(Header1, blocks_allocated);

// VDIHEADER0, behind the pre-header; the block map follows it at once, the data the block map.
struct Header0 {
  le32 type;
  le32 flags;
  std::array<char, 256> comment = {};
  DiskGeometry legacy_geometry;
  le64 disk_size;
  le32 block_size;
  le32 blocks;
  le32 blocks_allocated;
  DiskUuid uuid = {};
  DiskUuid modification_uuid = {};
  DiskUuid parent_uuid = {};
};
static_assert(sizeof(Header0) == 348 && DiskStruct<Header0>);
static_assert(offsetof(Header0, disk_size) == 352 - 72);

// Entries of the block map; any other is the number of a block in the file.
inline constexpr uint32_t kFree = 0xffffffff;  // never written: the parent's, or zeroes
inline constexpr uint32_t kZero = 0xfffffffe;  // zeroes, whatever the parent has

inline constexpr uint32_t kMinHeaderSize = 384;
inline constexpr uint32_t kLchsHeaderSize = 400;
// "Zero expand": new blocks are filled with zeroes. VirtualBox writes the one bit and reads the
// other.
inline constexpr uint32_t kKnownFlags = 0x101;
inline constexpr uint32_t kSectorSize = 512;
// What VirtualBox and QEMU make; QEMU reads no other.
inline constexpr uint64_t kDefaultBlockSize = uint64_t{1024} * 1024;
inline constexpr uint32_t kMaxBlockSize = 256 * 1024 * 1024;

}  // namespace platter::vdi
