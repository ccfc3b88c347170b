#include "formats/qcow2/new_space.h"

#include <algorithm>
#include <limits>

#include "formats/qcow2/packed_count.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

// A run is as long as the larger of these; one of a small image is a share of it, so that what
// stays unused at its end is little.
constexpr uint64_t kRun = MiB;
constexpr uint64_t kRunClusters = 16;
constexpr uint64_t kRunShare = 16;

constexpr uint64_t kZeroUnit = MiB;  // tables are written in pieces of this size

Error too_large() {
  return {Errc::no_space, "refcount table: the file is too large for its clusters and refcounts"};
}

}  // namespace

NewSpace::NewSpace(const Shape& shape)
    : shape_(shape),
      most_references_(std::min<uint64_t>(max_count(shape.refcount_order),
                                          std::numeric_limits<uint16_t>::max())) {
  if (shape.compress) references_.assign(1, 1);
}

// At the run's own end, or behind all others.
Result<void> NewSpace::make_room(Run& run, uint64_t count) {
  if (run.end - run.next >= count) return {};
  const uint64_t from = run.end == end_ ? run.next : end_;
  const uint64_t most = shape_.max_clusters();
  if (from > most || count > most - from) return too_large();
  uint64_t length = count;
  if (shape_.compress) {
    const uint64_t whole = std::max(kRun >> shape_.cluster_bits, kRunClusters);
    length = std::min(std::max(count, std::min(whole, end_ / kRunShare)), most - from);
  }
  run = {from, from + length};
  end_ = run.end;
  if (shape_.compress) references_.resize(end_);
  return {};
}

Result<NewSpace::Clusters> NewSpace::take(uint64_t most) {
  const bool some = shape_.compress && plain_.next != plain_.end;
  if (!some) TRY(make_room(plain_, most));
  const Clusters taken{plain_.next << shape_.cluster_bits,
                       std::min(most, plain_.end - plain_.next)};
  mark_taken(plain_, taken.count);
  return taken;
}

Result<uint64_t> NewSpace::take_all(uint64_t count) {
  TRY(make_room(plain_, count));
  const uint64_t host = plain_.next << shape_.cluster_bits;
  mark_taken(plain_, count);
  return host;
}

void NewSpace::mark_taken(Run& run, uint64_t count) {
  if (shape_.compress) {
    std::fill_n(references_.begin() + static_cast<ptrdiff_t>(run.next), count, uint16_t{1});
  }
  run.next += count;
}

// Specification, "Compressed Clusters Descriptor": a stream counts once in each cluster it touches.
Result<uint64_t> NewSpace::take_stream(uint64_t length) {
  const uint64_t cluster_size = shape_.cluster_size();
  const uint64_t last = stream_end_ >> shape_.cluster_bits;
  uint64_t room = align_up(stream_end_, cluster_size) - stream_end_;
  if (room != 0 && references_[last] == most_references_) room = 0;
  if (length > room) {
    TRY(make_room(packed_, 1));
    const uint64_t fresh = packed_.next++;
    if (room == 0 || fresh != last + 1) stream_end_ = fresh << shape_.cluster_bits;
  }
  const uint64_t host = stream_end_;
  stream_end_ += length;
  for (uint64_t c = host >> shape_.cluster_bits; c << shape_.cluster_bits < stream_end_; ++c) {
    ++references_[c];
  }
  return host;
}

// The blocks and the table count themselves too, so their number is a fixed point.
Result<NewSpace::Refcounts> NewSpace::place_refcounts() const {
  const uint64_t before_them = used();
  Refcounts place{.clusters = before_them};
  for (uint64_t before = 0; before != place.clusters;) {
    before = place.clusters;
    place.blocks = div_up(place.clusters, shape_.refcounts_per_block());
    place.table_clusters = div_up(place.blocks * sizeof(be64), shape_.cluster_size());
    place.clusters = before_them + place.blocks + place.table_clusters;
  }
  if (place.clusters > shape_.max_clusters()) return too_large();
  place.blocks_offset = before_them << shape_.cluster_bits;
  place.table_offset = (before_them + place.blocks) << shape_.cluster_bits;
  return place;
}

// The blocks lie side by side: one array of counts, as long as the file has clusters.
Result<void> NewSpace::write_refcounts(File& file, const Refcounts& place) const {
  const uint64_t per_piece = kZeroUnit * 8 >> shape_.refcount_order;
  std::vector<std::byte> counts(kZeroUnit);
  for (uint64_t first = 0; first < place.clusters; first += per_piece) {
    const uint64_t here = std::min(per_piece, place.clusters - first);
    if (shape_.compress || first == 0 || here < per_piece) fill_counts(counts, first, here);
    const uint64_t bytes = div_up(here << shape_.refcount_order, 8);
    const uint64_t at = (first << shape_.refcount_order) / 8;
    TRY(file.write(place.blocks_offset + at, Bytes(counts).first(bytes)));
  }
  std::vector<be64> table(place.blocks);
  for (uint64_t i = 0; i < place.blocks; ++i) {
    table[i] = place.blocks_offset + (i << shape_.cluster_bits);
  }
  return file.write(place.table_offset, std::as_bytes(std::span(table)));
}

void NewSpace::fill_counts(MutableBytes counts, uint64_t first, uint64_t count) const {
  std::ranges::fill(counts, std::byte{0});
  for (uint64_t i = 0; i < count; ++i) {
    set_packed_count(counts, shape_.refcount_order, i, references(first + i));
  }
}

// Behind what was taken there are only the refcounts themselves.
uint64_t NewSpace::references(uint64_t cluster) const {
  if (!shape_.compress || cluster >= used()) return 1;
  return references_[cluster];
}

}  // namespace platter::qcow2
