// Where things are in a cache image of a given size.
#pragma once

#include "formats/vci/layout.h"
#include "lib/image/cache_image.h"

namespace platter::vci {

// Header, map, room for a tree over all slots, slots.
struct Shape {
  uint64_t blocks = 0;  // of the whole file
  uint64_t map_blocks = 0;
  uint64_t root = 0;   // block
  uint64_t nodes = 0;  // there is room for
  CachePlaces places;

  static constexpr uint64_t kMap = sizeof(Header) / kBlock;  // block
  uint64_t node_block(uint64_t i) const { return root + i * kNodeBlocks; }
};

// Nodes a tree over so many lines has: full ones, but for the last of each level.
uint64_t nodes_for(uint64_t lines);

// blocks: of kMinCacheSize to kMaxCacheSize.
Shape shape_of(uint64_t blocks);

}  // namespace platter::vci
