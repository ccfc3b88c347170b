#include "formats/qcow2/l2_edit.h"

#include <bit>

namespace platter::qcow2 {
namespace {

constexpr uint64_t kAllZero = uint64_t{0xffff'ffff} << kSubclusters;

bool compressed(const L2Entry& entry) { return (entry.word & kCompressed) != 0; }
bool copied(const L2Entry& entry) { return (entry.word & kCopied) != 0; }
bool has_host(const L2Shape& shape, const L2Entry& entry) {
  if (compressed(entry)) return false;
  return (entry.word & kOffsetMask) != 0 || (shape.external_data && copied(entry));
}

uint32_t subcluster_bits(const L2Shape& shape) { return shape.cluster_bits - 5; }

// One bit for each subcluster that part touches.
uint64_t subclusters(const L2Shape& shape, const Range& part) {
  const uint64_t first = part.offset >> subcluster_bits(shape);
  const uint64_t last = (part.end() - 1) >> subcluster_bits(shape);
  return ((uint64_t{2} << last) - 1) & ~((uint64_t{1} << first) - 1) & 0xffff'ffff;
}

}  // namespace

Range held_by(const L2Shape& shape, const L2Entry& entry) {
  if (compressed(entry)) {
    const Allocation found = decode(shape, entry, 0);
    return {found.host, found.stored};
  }
  if (shape.external_data || !has_host(shape, entry)) return {};
  return {entry.word & kOffsetMask, shape.cluster_size()};
}

bool owns_cluster(const L2Shape& shape, const L2Entry& entry) {
  return has_host(shape, entry) && (copied(entry) || shape.external_data);
}

Range unit_to_write(const L2Shape& shape, const L2Entry& old, const Range& want) {
  const Range whole{0, shape.cluster_size()};
  if (!shape.extended || compressed(old)) return whole;
  Range unit = align_out(want, uint64_t{1} << subcluster_bits(shape));
  const auto data = static_cast<uint32_t>(old.bitmap);
  if (data == 0 || owns_cluster(shape, old)) return unit;
  // The cluster moves, and all that it has moves along.
  const uint64_t first = static_cast<uint64_t>(std::countr_zero(data)) << subcluster_bits(shape);
  const auto used = static_cast<uint64_t>(std::bit_width(data));
  const uint64_t end = used << subcluster_bits(shape);
  const uint64_t from = std::min(unit.offset, first);
  return {from, std::max(unit.end(), end) - from};
}

L2Entry after_write(const L2Shape& shape, const L2Entry& old, uint64_t host, const Range& written) {
  L2Entry now{.word = host | kCopied};
  if (!shape.extended) return now;
  const uint64_t bits = subclusters(shape, written);
  const uint64_t before = compressed(old) ? 0 : old.bitmap;
  now.bitmap = (before | bits) & ~(bits << kSubclusters);
  return now;
}

Range unit_to_zero(const L2Shape& shape, const L2Entry& old, const Range& want) {
  const bool parts = shape.extended && !compressed(old);
  const uint64_t unit = parts ? uint64_t{1} << subcluster_bits(shape) : shape.cluster_size();
  if (want.offset % unit != 0) return {want.offset, 0};
  return {want.offset, align_down(want.length, unit)};
}

L2Entry after_zero(const L2Shape& shape, const L2Entry& old, const Range& zeroed, File::Zero how) {
  const bool keeps = how == File::Zero::keep_space && owns_cluster(shape, old);
  if (!shape.extended) {
    if (shape.version == 2) return {};
    if (!keeps) return {.word = kZeroFlag};
    return {.word = old.word | kZeroFlag};
  }
  const uint64_t bits = subclusters(shape, zeroed);
  const uint64_t before = compressed(old) ? 0 : old.bitmap;
  L2Entry now{.word = compressed(old) ? 0 : old.word,
              .bitmap = (before & ~bits) | (bits << kSubclusters)};
  if (now.bitmap == kAllZero && !keeps) now.word = 0;
  return now;
}

}  // namespace platter::qcow2
