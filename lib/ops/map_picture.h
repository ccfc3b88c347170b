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
    uint64_t pieces = 0;        // that begin in it, as MapPicture::pieces() counts them

    uint64_t bytes(MapKind kind) const;
    uint64_t stored() const;  // bytes that lie in a file
    // The largest share of what is stored, else of zeroes, else of nothing.
    Share main() const;
  };

  // disk_size: bytes. most_cells: at least 1; fewer on a small disk, whose cells are sectors.
  MapPicture(uint64_t disk_size, size_t most_cells);

  // The extents of the disk, one behind the other.
  void add(const View::Mapped& mapped);

  const std::vector<Cell>& cells() const { return cells_; }
  Range range_of(size_t cell) const;  // of the disk, bytes; not empty
  // Runs of bytes that lie in one file one behind the other: 1 for a disk without fragmentation.
  uint64_t pieces() const { return pieces_; }

 private:
  bool goes_on(const Extent& extent) const;

  uint64_t disk_size_;
  uint64_t cell_size_;
  std::vector<Cell> cells_;
  uint64_t pieces_ = 0;
  const File* file_ = nullptr;  // where the last piece lies
  uint64_t start_ = 0, end_ = 0;
};

// Data, compressed or encrypted: it lies in a file.
constexpr bool is_stored(MapKind kind) {
  return kind == MapKind::data || kind == MapKind::compressed || kind == MapKind::encrypted;
}

}  // namespace platter
