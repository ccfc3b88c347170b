// What stands in a qcow2 file, as the qcow2 specification has it. All numbers are big-endian.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter::qcow2 {

inline constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb"; specification, "Header"
inline constexpr uint32_t kMinClusterBits = 9;
inline constexpr uint32_t kMaxClusterBits = 21;          // QEMU's limit; the specification has none
inline constexpr uint32_t kMinExtendedClusterBits = 14;  // "Extended L2 Entries": 512-byte parts
inline constexpr uint64_t kSector = 512;
inline constexpr uint64_t kHeaderV2Size = 72;
inline constexpr uint64_t kHeaderV3Size = 104;
inline constexpr uint32_t kMaxRefcountOrder = 6;

// QEMU's limits, kept so that no image is made that it would refuse, nor memory lent to one.
inline constexpr uint64_t kMaxL1Bytes = 32 * MiB;
inline constexpr uint64_t kMaxRefcountTableBytes = 8 * MiB;
inline constexpr uint32_t kMaxSnapshots = 65536;
inline constexpr uint64_t kMaxSnapshotTableBytes = 64 * MiB;
inline constexpr uint32_t kMaxSnapshotExtra = 1024;
inline constexpr uint32_t kMaxBackingName = 1023;
inline constexpr uint32_t kMaxFormatName = 15;
inline constexpr uint32_t kMaxBitmaps = 65535;
inline constexpr uint64_t kMaxBitmapDirectoryBytes = 64 * MiB;
inline constexpr uint32_t kMaxBitmapName = 1023;

// Specification, "Header". Version 2 ends before incompatible_features.
struct RawHeader {
  be32 magic;
  be32 version;
  be64 backing_file_offset;
  be32 backing_file_size;
  be32 cluster_bits;
  be64 size;
  be32 crypt_method;
  be32 l1_size;
  be64 l1_table_offset;
  be64 refcount_table_offset;
  be32 refcount_table_clusters;
  be32 nb_snapshots;
  be64 snapshots_offset;
  be64 incompatible_features;
  be64 compatible_features;
  be64 autoclear_features;
  be32 refcount_order;
  be32 header_length;
  uint8_t compression_type = 0;  // only when header_length is above 104
  std::array<uint8_t, 7> padding{};
};
static_assert(sizeof(RawHeader) == 112 && DiskStruct<RawHeader>);
static_assert(offsetof(RawHeader, crypt_method) == 32);
static_assert(offsetof(RawHeader, refcount_table_offset) == 48);
static_assert(offsetof(RawHeader, incompatible_features) == kHeaderV2Size);
static_assert(offsetof(RawHeader, compression_type) == kHeaderV3Size);

// Specification, "Header": incompatible_features, compatible_features, autoclear_features.
enum class Incompatible : uint64_t {
  dirty = 1 << 0,
  corrupt = 1 << 1,
  external_data = 1 << 2,
  compression = 1 << 3,
  extended_l2 = 1 << 4,
};
inline constexpr uint64_t kKnownIncompatible = 0x1f;
inline constexpr uint64_t kLazyRefcounts = 1 << 0;  // compatible
inline constexpr uint64_t kBitmapsValid = 1 << 0;   // autoclear
inline constexpr uint64_t kRawDataFile = 1 << 1;    // autoclear
inline constexpr uint64_t kKnownAutoclear = kBitmapsValid | kRawDataFile;

// Specification, "Header extensions".
enum class ExtensionType : uint32_t {
  end = 0,
  backing_format = 0xe2792aca,
  feature_names = 0x6803f857,
  bitmaps = 0x23852875,
  encryption = 0x0537be77,
  data_file = 0x44415441,
};
struct RawExtension {
  be32 type;
  be32 length;  // of the data behind it, which is padded to a multiple of 8
};
static_assert(sizeof(RawExtension) == 8 && DiskStruct<RawExtension>);

// Specification, "Feature name table".
struct RawFeatureName {
  uint8_t kind = 0;  // 0 incompatible, 1 compatible, 2 autoclear
  uint8_t bit = 0;
  std::array<char, 46> name{};
};
static_assert(sizeof(RawFeatureName) == 48 && DiskStruct<RawFeatureName>);

// Specification, "Bitmaps extension".
struct RawBitmaps {
  be32 count;
  be32 reserved;
  be64 directory_size;
  be64 directory_offset;
};
static_assert(sizeof(RawBitmaps) == 24 && DiskStruct<RawBitmaps>);

// Specification, "Full disk encryption header pointer".
struct RawEncryption {
  be64 offset;
  be64 length;
};
static_assert(sizeof(RawEncryption) == 16 && DiskStruct<RawEncryption>);

// Specification, "Bitmap directory": one entry; extra data and name follow, padded to 8.
struct RawBitmapEntry {
  be64 table_offset;
  be32 table_size;  // entries
  be32 flags;
  uint8_t type = 0;
  uint8_t granularity_bits = 0;
  be16 name_size;
  be32 extra_data_size;
};
static_assert(sizeof(RawBitmapEntry) == 24 && DiskStruct<RawBitmapEntry>);
inline constexpr uint32_t kBitmapInUse = 1 << 0;

// Specification, "Snapshots": one entry; extra data, id and name follow, padded to 8.
struct RawSnapshot {
  be64 l1_table_offset;
  be32 l1_size;
  be16 id_size;
  be16 name_size;
  be32 date_sec;
  be32 date_nsec;
  be64 vm_clock_nsec;
  be32 vm_state_size;
  be32 extra_data_size;
};
static_assert(sizeof(RawSnapshot) == 40 && DiskStruct<RawSnapshot>);
struct RawSnapshotExtra {
  be64 vm_state_size;
  be64 disk_size;
  be64 icount;
};
static_assert(sizeof(RawSnapshotExtra) == 24 && DiskStruct<RawSnapshotExtra>);
static_assert(offsetof(RawSnapshotExtra, icount) == 16);

// Specification, "Cluster mapping": bits of L1 and L2 entries.
inline constexpr uint64_t kOffsetMask = 0x00ff'ffff'ffff'fe00;
inline constexpr uint64_t kCopied = uint64_t{1} << 63;
inline constexpr uint64_t kCompressed = uint64_t{1} << 62;
inline constexpr uint64_t kZeroFlag = 1;  // version 3, not with extended entries
inline constexpr uint32_t kSubclusters = 32;
// Specification, "Extended L2 Entries".
struct RawExtendedL2 {
  be64 word;
  be64 bitmap;
};
static_assert(sizeof(RawExtendedL2) == 16 && DiskStruct<RawExtendedL2>);
inline constexpr uint64_t kMaxHostOffset = uint64_t{1} << 56;

}  // namespace platter::qcow2
