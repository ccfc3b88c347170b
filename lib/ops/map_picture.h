// MapPicture: a disk cut into cells of equal size, for a drawing of where its bytes are.
#pragma once

#include <vector>

#include "lib/ops/map.h"

namespace platter {

// Takes the same memory for every disk. Thread safety: one thread.
class MapPicture {
 public:
  // What of a cell is in one layer, in one way.
  struct Share {
    size_t depth = 0;
    MapKind kind = MapKind::absent;
    uint64_t bytes = 0;
  };
  struct Cell {
    std::vector<Share> shares;  // never empty once the whole disk was added
    uint64_t pieces = 0;        // that begin in it

    uint64_t bytes(MapKind kind) const;
    uint64_t stored() const;  // bytes that lie in a file
    // The largest share of what is stored, else of zeroes, else of nothing.
    Share main() const;
  };

  // disk_size: bytes. most_cells: at least 1; fewer on a small disk, whose cells are sectors.
  MapPicture(uint64_t disk_size, size_t most_cells);

  // Any extent of the disk, once. begins: a piece does, with it.
  void add(const View::Mapped& mapped, bool begins);

  const std::vector<Cell>& cells() const { return cells_; }
  Range range_of(size_t cell) const;  // of the disk, bytes; not empty

 private:
  uint64_t disk_size_;
  uint64_t cell_size_;
  std::vector<Cell> cells_;
};

}  // namespace platter
