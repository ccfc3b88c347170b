#include "lib/container/view.h"

#include <cassert>
#include <cstring>

#include "lib/base/checked.h"
#include "lib/container/guest_bytes.h"
#include "lib/container/read_cache.h"

namespace platter {

View::View(std::vector<Layer> layers, BlockCache& blocks)
    : layers_(std::move(layers)),
      blocks_(blocks),
      size_(layers_.front().image->size(layers_.front().snapshot)) {}

View::View(std::vector<Layer> layers, BlockCache& blocks, ReadCache& cache, size_t front)
    : View(std::move(layers), blocks) {
  cache_ = &cache;
  front_ = front;
  const auto behind = layers_.begin() + static_cast<std::ptrdiff_t>(front);
  slow_ = std::make_unique<const View>(std::vector<Layer>(behind, layers_.end()), blocks);
}

ViewPtr View::anew() const {
  if (cache_ != nullptr) return std::make_shared<const View>(layers_, blocks_, *cache_, front_);
  return std::make_shared<const View>(layers_, blocks_);
}

Result<View::Mapped> View::map_first(size_t count, const Range& want) const {
  Range rest = want;
  for (size_t depth = 0; depth < count; ++depth) {
    const auto& [image, snapshot] = layers_[depth];
    const Range here = intersect(rest, {0, image->size(snapshot)});
    // Past this layer's end everything reads as zeroes, whatever lies below.
    if (here.empty()) return Mapped{Extent{.guest = rest}, depth};
    const Extent e =
        TRY_IN(image->files().front()->name(), image->map(here, snapshot)).clipped(here);
    assert(e.guest.offset == want.offset && !e.guest.empty());
    rest = e.guest;
    if (e.kind != Extent::Kind::absent) return Mapped{e, depth};
  }
  return Mapped{Extent{.guest = rest}, count};
}

Result<View::Mapped> View::map(const Range& want) const {
  if (want.empty() || !fits(want.offset, want.length, size_)) {
    return Error(Errc::out_of_range, "outside the disk");
  }
  Mapped mapped = TRY(map_first(layers_.size(), want));
  mapped.depth = std::min(mapped.depth, layers_.size() - 1);
  return mapped;
}

Result<void> View::read_extent(const Extent& e, MutableBytes out) const {
  switch (e.kind) {
    case Extent::Kind::data: return read_data(e, out);
    case Extent::Kind::encoded: TRY_IN(e.file->name(), blocks_.read(e, out)); break;
    case Extent::Kind::absent:
    case Extent::Kind::zero: std::memset(out.data(), 0, out.size()); break;
  }
  return {};
}

Result<void> View::read(uint64_t offset, MutableBytes out) const {
  if (cache_ != nullptr) {
    (void)TRY(read_through_cache(offset, out));
    return {};
  }
  while (!out.empty()) {
    const Extent e = TRY(map({offset, out.size()})).extent;
    TRY(read_extent(e, out.first(e.guest.length)));
    offset += e.guest.length;
    out = out.subspan(e.guest.length);
  }
  return {};
}

Result<bool> View::read_through_cache(uint64_t offset, MutableBytes out) const {
  if (!fits(offset, out.size(), size_)) return Error(Errc::out_of_range, "outside the disk");
  bool kept = true;
  while (!out.empty()) {
    const Mapped mapped = TRY(map_first(front_, {offset, out.size()}));
    Range part = mapped.extent.guest;
    const Range behind = intersect(part, {0, slow_->size()});
    if (mapped.depth == front_ && !behind.empty()) {
      part = behind;
      if (!TRY(cache_->read(*slow_, offset, out.first(part.length)))) kept = false;
    } else {
      TRY(read_extent(mapped.extent, out.first(part.length)));
    }
    offset += part.length;
    out = out.subspan(part.length);
  }
  return kept;
}

}  // namespace platter
