// The structures of a cache image as VirtualBox published them (VCICache.cpp), in bytes, and what
// is ours in them. Numbers are little-endian; places and lengths are in blocks of 512 bytes.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter::vci {

inline constexpr uint64_t kBlock = 512;

inline constexpr uint32_t kSignature = 0x00494356;  // "VCI\0"
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kDynamic = 1;
// Files of a program that follows only the published structures have zeroes there.
inline constexpr std::array<char, 4> kOurs = {'o', 'w', 'n', '1'};

// At 0.
struct Header {
  le32 signature;
  le32 version;
  le64 blocks;  // the most the file may have
  uint8_t unclean = 1;
  le32 type;
  le64 root;  // of the tree
  le64 map;
  le32 map_blocks;  // its header among them
  std::array<std::byte, 16> uuid = {};
  std::array<std::byte, 16> modification_uuid = {};
  // Ours, in the reserved bytes.
  std::array<char, 4> ours = {};
  std::array<std::byte, 32> digest = {};  // what the disk was
  le64 disk_size;                         // bytes
  le32 nodes;                             // of the tree
  le64 lines;                             // in its leaves
  le64 hits, misses;                      // bytes
  le32 tree_checksum;                     // of the nodes, one behind the other
  le32 map_checksum;                      // of the map and its header
  le32 checksum;                          // of this, with zero here
  std::array<std::byte, 867> reserved = {};
};
static_assert(sizeof(Header) == 1024 && DiskStruct<Header>);
static_assert(offsetof(Header, type) == 17 && offsetof(Header, root) == 21);
static_assert(offsetof(Header, uuid) == 41 && offsetof(Header, modification_uuid) == 57);
static_assert(offsetof(Header, ours) == 73 && offsetof(Header, checksum) == 153);

inline constexpr uint32_t kMapMagic = 0x4b4c4256;  // "VBLK"

// In front of the bitmap: bit n, the lowest first, is set when block n is in use.
struct MapHeader {
  le32 magic;
  le32 version;
  le64 blocks;  // free + tables + data
  le64 free;
  le64 tables;
  le64 data;
  std::array<std::byte, 472> reserved = {};
};
static_assert(sizeof(MapHeader) == 512 && DiskStruct<MapHeader>);

inline constexpr uint64_t kNodeSize = 4096, kNodeBlocks = kNodeSize / kBlock;
enum class NodeType : uint8_t { internal = 1, leaf = 2 };

// A line of the cache. Ours: checksums where the published structure chains them by their last use;
// pieces in its flags; age in its reserved byte.
struct LeafEntry {
  std::array<le32, 4> checksums;
  uint8_t pieces = 0;
  uint8_t age = 0;
  le64 disk_block;
  le32 blocks;  // 0: no entry, and none behind it
  le64 place;
};
static_assert(sizeof(LeafEntry) == 38 && DiskStruct<LeafEntry>);

struct InternalEntry {
  le64 disk_block;  // of the first entry below
  le32 blocks;      // from there to the end of the last one, as far as it can say
  le64 child;       // 0: no entry, and none behind it
};
static_assert(sizeof(InternalEntry) == 20 && DiskStruct<InternalEntry>);

inline constexpr size_t kLeafEntries = 107, kInternalEntries = 204;
static_assert(1 + kLeafEntries * sizeof(LeafEntry) <= kNodeSize);
static_assert(1 + kInternalEntries * sizeof(InternalEntry) <= kNodeSize);

inline constexpr int kMaxDepth = 8;  // of the tree, nodes

}  // namespace platter::vci
