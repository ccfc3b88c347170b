// GrainLayout: how an extent cut into grains is laid out, whatever header says so.
#pragma once

#include <cstdint>

#include "formats/vmdk/layout.h"
#include "lib/base/checked.h"
#include "lib/base/range.h"

namespace platter::vmdk {

// Holds: entries * span() >= capacity > 0; the directories lie inside the file; no place in them,
// which has 32 bits of sectors, overflows.
struct GrainLayout {
  uint64_t capacity = 0;       // bytes
  uint64_t grain = 0;          // bytes, a power of two
  uint64_t table_entries = 0;  // a power of two
  uint64_t directory = 0;      // where it begins, bytes
  uint64_t redundant = 0;      // the second directory; 0: there is none
  uint64_t entries = 0;        // of each directory
  uint64_t first_grain = 0;    // bytes; what points below points at metadata
  bool zeroed_grains = false;  // entries may be kZeroedGrain
  bool compressed = false;
  bool markers = false;  // compressed: grains begin with one
  bool unclean = false;  // somebody was writing

  uint64_t table_bytes() const { return table_entries * sizeof(le32); }
  uint64_t span() const { return table_entries * grain; }  // guest bytes a table maps
  uint64_t grains() const { return div_up(capacity, grain); }
  Range directory_range() const { return {directory, entries * sizeof(le32)}; }
  Range redundant_range() const { return {redundant, redundant == 0 ? 0 : entries * sizeof(le32)}; }

  // What an entry of a table says.
  enum class Entry : unsigned char { none, zeroed, grain, invalid };
  Entry kind_of(uint32_t entry) const {
    if (entry == kNoGrain) return Entry::none;
    if (entry == kZeroedGrain && zeroed_grains) return Entry::zeroed;
    return entry * kSector < first_grain ? Entry::invalid : Entry::grain;
  }
};

}  // namespace platter::vmdk
