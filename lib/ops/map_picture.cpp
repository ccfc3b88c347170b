#include "lib/ops/map_picture.h"

#include <algorithm>

#include "lib/base/checked.h"

namespace platter {
namespace {

constexpr uint64_t kSector = 512;

void add_share(MapPicture::Cell& cell, size_t depth, MapKind kind, uint64_t bytes) {
  const auto same = std::ranges::find_if(cell.shares, [&](const MapPicture::Share& share) {
    return share.depth == depth && share.kind == kind;
  });
  if (same != cell.shares.end()) {
    same->bytes += bytes;
  } else {
    cell.shares.push_back({depth, kind, bytes});
  }
}

int rank_of(MapKind kind) {
  if (is_stored(kind)) return 2;
  return kind == MapKind::zero ? 1 : 0;
}

}  // namespace

uint64_t MapPicture::Cell::bytes(MapKind kind) const {
  uint64_t sum = 0;
  for (const Share& share : shares) sum += share.kind == kind ? share.bytes : 0;
  return sum;
}

uint64_t MapPicture::Cell::stored() const {
  uint64_t sum = 0;
  for (const Share& share : shares) sum += is_stored(share.kind) ? share.bytes : 0;
  return sum;
}

MapPicture::Share MapPicture::Cell::main() const {
  const auto less = [](const Share& a, const Share& b) {
    return std::pair(rank_of(a.kind), a.bytes) < std::pair(rank_of(b.kind), b.bytes);
  };
  const auto largest = std::ranges::max_element(shares, less);
  return largest == shares.end() ? Share{} : *largest;
}

MapPicture::MapPicture(uint64_t disk_size, size_t most_cells)
    : disk_size_(disk_size),
      cell_size_(std::max(align_up(div_up(disk_size, most_cells), kSector), kSector)),
      cells_(div_up(disk_size, cell_size_)) {}

Range MapPicture::range_of(size_t cell) const {
  const uint64_t start = cell * cell_size_;
  return {start, std::min(cell_size_, disk_size_ - start)};
}

void MapPicture::add(const View::Mapped& mapped, bool begins) {
  const Extent& extent = mapped.extent;
  if (extent.guest.empty() || extent.guest.end() > disk_size_) return;
  const uint64_t first = extent.guest.offset / cell_size_;
  cells_[first].pieces += begins ? 1 : 0;
  const uint64_t last = (extent.guest.end() - 1) / cell_size_;
  for (uint64_t i = first; i <= last; ++i) {
    const Range part = intersect(extent.guest, range_of(i));
    add_share(cells_[i], mapped.depth, map_kind(extent), part.length);
  }
}

}  // namespace platter
