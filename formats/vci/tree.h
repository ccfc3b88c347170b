// The tree of cached lines, read and written as a whole.
#pragma once

#include <vector>

#include "formats/vci/shape.h"

namespace platter::vci {

struct Tree {
  std::vector<CachedLine> lines;  // in the order of the disk
  uint64_t nodes = 0;
  uint32_t checksum = 0;
};

// Errc::corrupt: a node outside its place or twice in the tree, entries out of order, a line
// outside the disk or the file, or in another one's slot. Looks at no more nodes than there is room
// for.
Result<Tree> read_tree(const File& file, const Shape& shape, uint64_t disk_size);

// The nodes as they are on disk, from the root on. lines: at most as many as there are slots.
std::vector<std::byte> encode_tree(const Shape& shape, const std::vector<CachedLine>& lines);

}  // namespace platter::vci
