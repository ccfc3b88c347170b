// The binary structures of VMDK files: hosted sparse extents ("KDMV") as VMware's "Virtual Disk
// Format 5.0" describes them, and the sparse extents of ESX ("COWD"). Everything is little-endian;
// places and sizes count sectors of 512 bytes.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter::vmdk {

inline constexpr uint64_t kSector = 512;

// "Hosted Sparse Extent Header", at 0; as a footer 1024 bytes in front of the end.
struct RawSparseHeader {
  le32 magic;
  le32 version;
  le32 flags;
  le64 capacity;
  le64 grain_size;
  le64 descriptor_offset;  // 0: none
  le64 descriptor_size;
  le32 entries_per_table;
  le64 rgd_offset;
  le64 gd_offset;
  le64 overhead;  // in front of the first grain
  std::array<std::byte, 1> unclean = {};
  std::array<char, 4> newlines = {};  // damaged where a transfer took the file for text
  le16 compression;
  std::array<std::byte, 433> pad = {};
};
static_assert(sizeof(RawSparseHeader) == kSector && DiskStruct<RawSparseHeader>);
static_assert(offsetof(RawSparseHeader, capacity) == 12);
static_assert(offsetof(RawSparseHeader, entries_per_table) == 44);
static_assert(offsetof(RawSparseHeader, gd_offset) == 56);
static_assert(offsetof(RawSparseHeader, unclean) == 72);
static_assert(offsetof(RawSparseHeader, compression) == 77);

inline constexpr uint32_t kSparseMagic = 0x564d444b;  // "KDMV"
inline constexpr std::array<char, 4> kNewlines = {'\n', ' ', '\r', '\n'};

inline constexpr uint32_t kFlagNewlines = 1 << 0;  // newlines is set
inline constexpr uint32_t kFlagRedundant = 1 << 1;
inline constexpr uint32_t kFlagZeroed = 1 << 2;  // entries may be kZeroedGrain
inline constexpr uint32_t kFlagCompressed = 1 << 16;
inline constexpr uint32_t kFlagMarkers = 1 << 17;
inline constexpr uint32_t kKnownFlags =
    kFlagNewlines | kFlagRedundant | kFlagZeroed | kFlagCompressed | kFlagMarkers;

inline constexpr uint64_t kDirectoryInFooter = ~uint64_t{0};
inline constexpr uint16_t kDeflate = 1;

// Entries of a grain table; any other is the sector of a grain.
inline constexpr uint32_t kNoGrain = 0;
inline constexpr uint32_t kZeroedGrain = 1;

// In front of a compressed grain; also the start of every other marker, whose size is 0.
struct RawGrainMarker {
  le64 value;  // of a grain: its first sector in the extent; else the sectors that follow
  le32 size;   // of the compressed bytes that follow
};
static_assert(sizeof(RawGrainMarker) == 12 && DiskStruct<RawGrainMarker>);

struct RawMarker {
  RawGrainMarker start;
  le32 type;
};
static_assert(sizeof(RawMarker) == 16 && DiskStruct<RawMarker>);

enum class MarkerType : uint32_t {
  end_of_stream = 0,
  grain_table = 1,
  grain_directory = 2,
  footer = 3,
  unspecified = 4,  // as vSphere writes it
};

// "COWDisk_Header" of ESX, at 0.
struct RawCowdHeader {
  le32 magic;
  le32 version;
  le32 flags;
  le32 sectors;
  le32 grain_size;
  le32 gd_offset;
  le32 gd_entries;
  le32 free_sector;
  std::array<std::byte, 1024> root_or_parent = {};
  le32 parent_generation;
  le32 generation;
  std::array<char, 60> name = {};
  std::array<char, 512> description = {};
  le32 saved_generation;
  le64 reserved;
  le32 unclean;
  std::array<std::byte, 396> pad = {};
};
static_assert(sizeof(RawCowdHeader) == 2048 && DiskStruct<RawCowdHeader>);
static_assert(offsetof(RawCowdHeader, parent_generation) == 1056);
static_assert(offsetof(RawCowdHeader, unclean) == 1648);

inline constexpr uint32_t kCowdMagic = 0x44574f43;  // "COWD"
inline constexpr uint64_t kCowdTableEntries = 4096;

}  // namespace platter::vmdk
