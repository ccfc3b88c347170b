#include "lib/ops/map.h"

namespace platter {

std::string_view kind_name(Extent::Kind kind) {
  switch (kind) {
    case Extent::Kind::absent: return "absent";
    case Extent::Kind::zero: return "zero";
    case Extent::Kind::data: return "data";
    case Extent::Kind::encoded: return "compressed";
  }
  return "?";
}

void MapSummary::add(const View::Mapped& mapped) {
  if (mapped.depth >= totals_.size()) totals_.resize(mapped.depth + 1);
  Total& total = totals_[mapped.depth][static_cast<size_t>(mapped.extent.kind)];
  ++total.extents;
  total.bytes += mapped.extent.guest.length;
}

MapSummary::Total MapSummary::all() const {
  Total sum;
  for (const Extent::Kind kind : kExtentKinds) {
    sum.extents += of(kind).extents;
    sum.bytes += of(kind).bytes;
  }
  return sum;
}

MapSummary::Total MapSummary::of(Extent::Kind kind) const {
  Total sum;
  for (size_t depth = 0; depth < totals_.size(); ++depth) {
    sum.extents += at(depth, kind).extents;
    sum.bytes += at(depth, kind).bytes;
  }
  return sum;
}

const MapSummary::Total& MapSummary::at(size_t depth, Extent::Kind kind) const {
  return totals_[depth][static_cast<size_t>(kind)];
}

}  // namespace platter
