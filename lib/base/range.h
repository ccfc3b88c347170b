// Byte ranges and spans: the only way offsets and lengths travel together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace platter {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline constexpr uint64_t KiB = 1024;
inline constexpr uint64_t MiB = 1024 * KiB;
inline constexpr uint64_t GiB = 1024 * MiB;

// The largest file offset the host knows; every range made from a disk's numbers ends at or before
// it.
inline constexpr uint64_t kMaxOffset = (uint64_t{1} << 63) - 1;

// [offset, offset + length), in bytes. end() must not overflow: ranges that come from a disk are
// checked with checked.h before they become a Range.
struct Range {
  uint64_t offset = 0;
  uint64_t length = 0;

  constexpr uint64_t end() const { return offset + length; }
  constexpr bool empty() const { return length == 0; }
  constexpr bool contains(const Range& other) const {
    return other.offset >= offset && other.length <= length &&
           other.offset - offset <= length - other.length;
  }
  constexpr bool contains(uint64_t at) const { return at >= offset && at - offset < length; }
  friend constexpr bool operator==(const Range&, const Range&) = default;
};

// Empty, at the larger of the two offsets, when they share nothing.
constexpr Range intersect(const Range& a, const Range& b) {
  const uint64_t from = std::max(a.offset, b.offset);
  const uint64_t to = std::min(a.end(), b.end());
  return {from, to > from ? to - from : 0};
}

// The smallest range around both; an empty one has no place.
constexpr Range hull(const Range& a, const Range& b) {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  const uint64_t from = std::min(a.offset, b.offset);
  return {from, std::max(a.end(), b.end()) - from};
}

// unit: a power of two; what is aligned up is at most kMaxOffset.
constexpr uint64_t align_down(uint64_t value, uint64_t unit) { return value & ~(unit - 1); }
constexpr uint64_t align_up(uint64_t value, uint64_t unit) {
  return align_down(value + (unit - 1), unit);
}
// The smallest range of whole units around r.
constexpr Range align_out(const Range& r, uint64_t unit) {
  const uint64_t from = align_down(r.offset, unit);
  return {from, align_up(r.end(), unit) - from};
}

}  // namespace platter
