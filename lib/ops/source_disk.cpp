#include "lib/ops/source_disk.h"

#include <cstring>

#include "lib/base/checked.h"
#include "lib/container/extent_walk.h"

namespace platter {

Result<uint64_t> SourceDisk::size_of(const std::vector<ViewPtr>& views) {
  uint64_t sum = 0;
  for (const ViewPtr& view : views) {
    if (!fits(sum, view->size(), kMaxOffset)) {
      return Error(Errc::invalid, "the sources together are larger than a file can be");
    }
    sum += view->size();
  }
  return sum;
}

SourceDisk::Place SourceDisk::find(uint64_t offset) const {
  uint64_t start = 0;
  for (const ViewPtr& view : views_) {
    if (offset - start < view->size()) return {view.get(), start};
    start += view->size();
  }
  return {nullptr, start};
}

Result<SourceDisk::Piece> SourceDisk::piece_at(uint64_t offset) const {
  const Place place = find(offset);
  if (place.view == nullptr) return Piece{{offset, size_ - offset}, true};
  const uint64_t inside = offset - place.start;
  const Extent e = TRY(place.view->map({inside, place.view->size() - inside})).extent;
  return Piece{{offset, e.guest.length}, is_hole(e)};
}

Result<void> SourceDisk::read(uint64_t offset, MutableBytes out) const {
  while (!out.empty()) {
    const Place place = find(offset);
    if (place.view == nullptr) {
      std::memset(out.data(), 0, out.size());
      return {};
    }
    const uint64_t inside = offset - place.start;
    const size_t length = std::min<uint64_t>(out.size(), place.view->size() - inside);
    TRY(place.view->read(inside, out.first(length)));
    offset += length;
    out = out.subspan(length);
  }
  return {};
}

}  // namespace platter
