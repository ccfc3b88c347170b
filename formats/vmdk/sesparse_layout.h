// The binary structures of "space efficient" sparse extents (ESX 6 and later), which their maker
// does not document: as the readers there are take them. Everything is little-endian; places and
// sizes count sectors.
#pragma once

#include "formats/vmdk/layout.h"

namespace platter::vmdk {

// A part of the file.
struct RawSeSparsePart {
  le64 offset, size;
};

// "Constant header", at 0.
struct RawSeSparseHeader {
  le64 magic;
  le64 version;
  le64 capacity;
  le64 grain_size;
  le64 table_size;  // of a grain table
  le64 flags;
  std::array<le64, 4> reserved = {};
  RawSeSparsePart volatile_header;
  RawSeSparsePart journal_header;
  RawSeSparsePart journal;
  RawSeSparsePart directory;
  RawSeSparsePart tables;
  RawSeSparsePart free_bitmap;
  RawSeSparsePart back_map;
  RawSeSparsePart grains;
  std::array<std::byte, 304> pad = {};
};
static_assert(sizeof(RawSeSparseHeader) == kSector && DiskStruct<RawSeSparseHeader>);
static_assert(offsetof(RawSeSparseHeader, volatile_header) == 80);
static_assert(offsetof(RawSeSparseHeader, directory) == 128);
static_assert(offsetof(RawSeSparseHeader, grains) == 192);

struct RawSeSparseVolatile {
  le64 magic;
  le64 free_table;
  le64 next_transaction;
  le64 replay_journal;  // not 0: the journal has changes that are not in the tables yet
  std::array<std::byte, 480> pad = {};
};
static_assert(sizeof(RawSeSparseVolatile) == kSector && DiskStruct<RawSeSparseVolatile>);

inline constexpr uint64_t kSeSparseMagic = 0xcafebabe;
inline constexpr uint64_t kSeSparseVersion = 0x0000'0002'0000'0001;  // 2.1
inline constexpr uint64_t kSeSparseVolatileMagic = 0xcafecafe;

// All that was ever seen, in sectors.
inline constexpr uint64_t kSeSparseGrain = 8, kSeSparseTable = 64;
inline constexpr uint64_t kSeSparseTableEntries = kSeSparseTable * kSector / sizeof(le64);

// An entry of the directory is 0, or this above the number of a table (32 bits).
inline constexpr uint64_t kSeSparseTableThere = 0x1000'0000;

// The upper four bits of an entry of a table. Behind kSeSparseStored is the number of a grain: its
// lower 12 bits first, then the upper 48.
inline constexpr unsigned kSeSparseKindShift = 60;
inline constexpr uint64_t kSeSparseNothing = 0;
inline constexpr uint64_t kSeSparseUnmapped = 1;  // by the guest: reads as zeroes
inline constexpr uint64_t kSeSparseZero = 2;
inline constexpr uint64_t kSeSparseStored = 3;

}  // namespace platter::vmdk
