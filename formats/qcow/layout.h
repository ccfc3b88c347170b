// What stands in a qcow file of version 1, as QEMU's block/qcow.c has it. All numbers are
// big-endian.
#pragma once

#include <cstddef>

#include "lib/base/endian.h"

namespace platter::qcow {

inline constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb", which qcow2 has as well
inline constexpr uint32_t kVersion = 1;

// QCowHeader, at 0.
struct RawHeader {
  be32 magic;
  be32 version;
  be64 backing_file_offset;  // 0: none
  be32 backing_file_size;
  be32 mtime;  // of the backing file, seconds since 1970; 0: not said
  be64 size;   // of the disk, bytes
  uint8_t cluster_bits = 0;
  uint8_t l2_bits = 0;  // an L2 table has 2^l2_bits entries
  be16 padding;
  be32 crypt_method;  // 0 none, kAes
  be64 l1_table_offset;
};
static_assert(sizeof(RawHeader) == 48 && DiskStruct<RawHeader>);
static_assert(offsetof(RawHeader, size) == 24);
static_assert(offsetof(RawHeader, crypt_method) == 36);
static_assert(offsetof(RawHeader, l1_table_offset) == 40);

inline constexpr uint32_t kAes = 1;

// The limits of qcow_open().
inline constexpr uint32_t kMinClusterBits = 9, kMaxClusterBits = 16;
inline constexpr uint32_t kMinL2Bits = 6, kMaxL2Bits = 13;
inline constexpr uint32_t kMaxBackingName = 1023;
inline constexpr uint64_t kMaxL1Entries = 0x7fffffff / sizeof(be64);

inline constexpr uint64_t kSector = 512;

// L1 and L2 entries are offsets in the file; 0: nothing there. In an L2 entry this flag says that
// the cluster is compressed: the low 63 - cluster_bits bits are the stream's offset, and the bits
// above them its length in bytes.
inline constexpr uint64_t kCompressed = uint64_t{1} << 63;

}  // namespace platter::qcow
