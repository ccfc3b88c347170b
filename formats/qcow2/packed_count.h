// Refcounts as they stand side by side in a block.
#pragma once

#include "lib/base/endian.h"

namespace platter::qcow2 {

// Counts of 2^order bits (order 0 to 6) side by side, as a refcount block has them (specification,
// "Refcounts"): big-endian, and from the lowest bit of a byte on where they are smaller than one.
uint64_t packed_count(Bytes counts, uint32_t order, uint64_t index);
// value fits the width.
void set_packed_count(MutableBytes counts, uint32_t order, uint64_t index, uint64_t value);
// A byte has counts of this order, and several of smaller ones.
inline constexpr uint32_t kOrderOfByte = 3;
// The largest one.
constexpr uint64_t max_count(uint32_t order) {
  return ~uint64_t{0} >> (64 - (uint32_t{1} << order));
}

}  // namespace platter::qcow2
