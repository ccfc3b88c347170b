// What decoders of the LZ77 kind do: repeat bytes they have already made.
#pragma once

#include <cstring>

#include "lib/base/range.h"

namespace platter {

// Appends length bytes to the first at bytes of unit, from distance bytes before; they may overlap,
// then they repeat. at moves on. False, and nothing is written: distance is 0 or reaches before the
// unit, or the unit has no room.
inline bool repeat_back(MutableBytes unit, size_t& at, size_t distance, size_t length) {
  if (distance == 0 || distance > at || length > unit.size() - at) return false;
  std::byte* const to = unit.data() + at;
  const std::byte* const from = to - distance;
  if (distance >= length) {
    std::memcpy(to, from, length);
  } else {
    for (size_t i = 0; i < length; ++i) to[i] = from[i];
  }
  at += length;
  return true;
}

// Takes length bytes off the front of stored and appends them to the first at bytes of unit. False,
// and nothing is changed: there are not so many, or the unit has no room.
inline bool take_literals(Bytes& stored, MutableBytes unit, size_t& at, size_t length) {
  if (length > stored.size() || length > unit.size() - at) return false;
  // An empty span may have no address.
  if (length != 0) std::memcpy(unit.data() + at, stored.data(), length);
  stored = stored.subspan(length);
  at += length;
  return true;
}

}  // namespace platter
