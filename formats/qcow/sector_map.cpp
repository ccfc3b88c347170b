#include "formats/qcow/sector_map.h"

#include <algorithm>
#include <bit>

#include "lib/base/checked.h"

namespace platter::qcow {
namespace {

// The longest thing there is, an L2 table or a cluster, may begin at the stretch's end.
constexpr uint64_t kBehind = 64 * KiB;

}  // namespace

SectorMap::SectorMap(uint64_t file_size) : file_size_(file_size) {}

void SectorMap::start(uint64_t first) {
  first_ = first;
  const uint64_t bytes = std::min(kBytes + kBehind, file_size_ - std::min(file_size_, first));
  sectors_ = div_up(bytes, kSector);
  alone_.assign(div_up(sectors_, 64), 0);
  stream_.assign(div_up(sectors_, 64), 0);
}

std::pair<size_t, size_t> SectorMap::sectors(const Range& range) const {
  const Range inside = intersect(range, {first_, sectors_ * kSector});
  if (inside.empty()) return {0, 0};
  return {(inside.offset - first_) / kSector, div_up(inside.end() - first_, kSector)};
}

bool SectorMap::add(const Range& range, Use use) {
  const auto [from, to] = sectors(range);
  bool free = true;
  for (size_t i = from; i < to; ++i) {
    free = free && !has(alone_, i) && (use == Use::stream || !has(stream_, i));
  }
  if (!free) return false;
  Bits& bits = use == Use::stream ? stream_ : alone_;
  for (size_t i = from; i < to; ++i) set(bits, i);
  return true;
}

void SectorMap::mark(const Range& range) {
  const auto [from, to] = sectors(range);
  for (size_t i = from; i < to; ++i) set(stream_, i);
}

uint64_t SectorMap::next_used(uint64_t at) const {
  for (size_t i = (at - first_) / kSector; i < sectors_; i = (i / 64 + 1) * 64) {
    const uint64_t used = (alone_[i / 64] | stream_[i / 64]) >> (i % 64);
    if (used != 0) return first_ + (i + static_cast<size_t>(std::countr_zero(used))) * kSector;
  }
  return first_ + sectors_ * kSector;
}

uint64_t SectorMap::unused(const Range& range, uint64_t cluster_size) const {
  uint64_t count = 0;
  uint64_t at = align_up(range.offset, cluster_size);
  while (fits(at, cluster_size, range.end())) {
    // Most of a large file's holes are long.
    const uint64_t run = std::min(next_used(at), align_down(range.end(), cluster_size));
    if (run >= at + cluster_size) {
      count += (run - at) / cluster_size;
      at += align_down(run - at, cluster_size);
    } else {
      at += cluster_size;
    }
  }
  return count;
}

}  // namespace platter::qcow
