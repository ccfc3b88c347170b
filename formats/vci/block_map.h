// The block map: which blocks of the file are in use, as its tables say.
#pragma once

#include <vector>

#include "formats/vci/shape.h"

namespace platter::vci {

// The map and its header, as they are on disk. nodes: of the tree, from its root on; the slots of
// the lines are right, and no two have one.
std::vector<std::byte> encode_map(const Shape& shape, uint64_t nodes,
                                  const std::vector<CachedLine>& lines);

// Bytes in use for all but lines.
uint64_t table_bytes(const Shape& shape, uint64_t nodes);

}  // namespace platter::vci
