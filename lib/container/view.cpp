#include "lib/container/view.h"

#include <cassert>
#include <cstring>

#include "lib/base/checked.h"
#include "lib/container/guest_bytes.h"

namespace platter {

View::View(std::vector<Layer> layers, BlockCache& blocks)
    : layers_(std::move(layers)),
      blocks_(blocks),
      size_(layers_.front().image->size(layers_.front().snapshot)) {}

Result<View::Mapped> View::map(const Range& want) const {
  if (want.empty() || !fits(want.offset, want.length, size_)) {
    return Error(Errc::out_of_range, "outside the disk");
  }
  Range rest = want;
  size_t depth = 0;
  for (; depth < layers_.size(); ++depth) {
    const auto& [image, snapshot] = layers_[depth];
    const Range here = intersect(rest, {0, image->size(snapshot)});
    // Past this layer's end everything reads as zeroes, whatever lies below.
    if (here.empty()) break;
    const Extent e =
        TRY_IN(image->files().front()->name(), image->map(here, snapshot)).clipped(here);
    assert(e.guest.offset == want.offset && !e.guest.empty());
    rest = e.guest;
    if (e.kind != Extent::Kind::absent) return Mapped{e, depth};
  }
  return Mapped{Extent{.guest = rest}, std::min(depth, layers_.size() - 1)};
}

Result<void> View::read(uint64_t offset, MutableBytes out) const {
  while (!out.empty()) {
    const Extent e = TRY(map({offset, out.size()})).extent;
    const MutableBytes part = out.first(e.guest.length);
    switch (e.kind) {
      case Extent::Kind::data: TRY(read_data(e, part)); break;
      case Extent::Kind::encoded: TRY_IN(e.file->name(), blocks_.read(e, part)); break;
      case Extent::Kind::absent:
      case Extent::Kind::zero: std::memset(part.data(), 0, part.size()); break;
    }
    offset += part.size();
    out = out.subspan(part.size());
  }
  return {};
}

}  // namespace platter
