// Arithmetic on numbers that came from a disk: an overflow is an empty optional, never a wrap.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include "lib/base/range.h"

namespace platter {

constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

constexpr std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// ceil(value / unit) without overflow; unit > 0.
constexpr uint64_t div_up(uint64_t value, uint64_t unit) {
  return value / unit + (value % unit != 0 ? 1 : 0);
}

// True when [offset, offset + length) lies inside [0, size); does not overflow.
constexpr bool fits(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

}  // namespace platter
