// Shape: how the BAT of a VHDX is laid out.
#pragma once

#include "formats/vhdx/layout.h"
#include "lib/base/checked.h"

namespace platter::vhdx {

// Entries of payload blocks, and behind those of each chunk the entry of its sector bitmap block,
// also where there is none ([2.5]). Numbers of blocks count the disk's, chunks are sets of blocks.
struct Shape {
  uint64_t block_size = 0;   // bytes, a power of two from 1 to 256 MiB
  uint64_t sector_size = 0;  // bytes, 512 or 4096
  uint64_t disk_size = 0;    // bytes, whole sectors, 1 to 64 TiB
  bool has_parent = false;

  uint64_t chunk_ratio() const { return kSectorsInChunk * sector_size / block_size; }
  uint64_t blocks() const { return div_up(disk_size, block_size); }
  uint64_t chunks() const { return div_up(blocks(), chunk_ratio()); }
  // Of the BAT that are in use.
  uint64_t entries() const {
    return has_parent ? chunks() * (chunk_ratio() + 1) : index_of(blocks() - 1) + 1;
  }
  uint64_t index_of(uint64_t block) const { return block + block / chunk_ratio(); }
  uint64_t bitmap_index_of(uint64_t chunk) const {
    return chunk * (chunk_ratio() + 1) + chunk_ratio();
  }
  bool is_bitmap(uint64_t index) const { return index % (chunk_ratio() + 1) == chunk_ratio(); }
  uint64_t block_of(uint64_t index) const { return index - index / (chunk_ratio() + 1); }

  uint64_t sectors_in_block() const { return block_size / sector_size; }
  uint64_t bitmap_bytes_of_block() const { return sectors_in_block() / 8; }
  // Where the bits of a block begin in its chunk's bitmap block, bytes.
  uint64_t bitmap_at(uint64_t block) const {
    return block % chunk_ratio() * bitmap_bytes_of_block();
  }
};

}  // namespace platter::vhdx
