#include "lib/ops/map.h"

namespace platter {

MapKind map_kind(const Extent& extent) {
  switch (extent.kind) {
    case Extent::Kind::absent: return MapKind::absent;
    case Extent::Kind::zero: return MapKind::zero;
    case Extent::Kind::data: return extent.cipher == nullptr ? MapKind::data : MapKind::encrypted;
    case Extent::Kind::encoded: return MapKind::compressed;
  }
  return MapKind::absent;
}

std::string_view kind_name(MapKind kind) {
  switch (kind) {
    case MapKind::absent: return "absent";
    case MapKind::zero: return "zero";
    case MapKind::data: return "data";
    case MapKind::compressed: return "compressed";
    case MapKind::encrypted: return "encrypted";
  }
  return "?";
}

bool Pieces::goes_on(const Extent& extent) const {
  if (file_ != extent.file) return false;
  if (extent.kind != Extent::Kind::encoded) return extent.host == end_;
  // Where a stream ends is known by the sector only, and a unit may come in several extents.
  return extent.host >= start_ && extent.host <= end_;
}

bool Pieces::add(const Extent& extent) {
  if (!is_stored(map_kind(extent))) return false;
  const bool begins = !goes_on(extent);
  if (begins) ++count_;
  file_ = extent.file;
  start_ = extent.host;
  end_ = extent.host + (extent.kind == Extent::Kind::encoded ? extent.stored : extent.guest.length);
  return begins;
}

void MapSummary::add(const View::Mapped& mapped) {
  if (mapped.depth >= totals_.size()) totals_.resize(mapped.depth + 1);
  Total& total = totals_[mapped.depth][static_cast<size_t>(map_kind(mapped.extent))];
  ++total.extents;
  total.bytes += mapped.extent.guest.length;
}

MapSummary::Total MapSummary::all() const {
  Total sum;
  for (const MapKind kind : kMapKinds) {
    sum.extents += of(kind).extents;
    sum.bytes += of(kind).bytes;
  }
  return sum;
}

MapSummary::Total MapSummary::of(MapKind kind) const {
  Total sum;
  for (size_t depth = 0; depth < totals_.size(); ++depth) {
    sum.extents += at(depth, kind).extents;
    sum.bytes += at(depth, kind).bytes;
  }
  return sum;
}

const MapSummary::Total& MapSummary::at(size_t depth, MapKind kind) const {
  return totals_[depth][static_cast<size_t>(kind)];
}

}  // namespace platter
