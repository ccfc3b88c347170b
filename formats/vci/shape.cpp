#include "formats/vci/shape.h"

#include "lib/base/checked.h"

namespace platter::vci {

uint64_t nodes_for(uint64_t lines) {
  uint64_t level = std::max<uint64_t>(1, div_up(lines, kLeafEntries));
  uint64_t all = level;
  while (level > 1) {
    level = div_up(level, kInternalEntries);
    all += level;
  }
  return all;
}

Shape shape_of(uint64_t blocks) {
  constexpr uint64_t kLineBlocks = kCacheLine / kBlock;
  Shape shape{.blocks = blocks};
  shape.map_blocks = 1 + div_up(div_up(blocks, 8), kBlock);
  shape.root = Shape::kMap + shape.map_blocks;
  // As many nodes as the slots would need if nothing else took space.
  shape.nodes = nodes_for((blocks - shape.root) / kLineBlocks);
  const uint64_t first = align_up(shape.node_block(shape.nodes), kLineBlocks);
  shape.places = {.size = blocks * kBlock,
                  .first_slot = first * kBlock,
                  .slots = (blocks - first) / kLineBlocks};
  return shape;
}

}  // namespace platter::vci
