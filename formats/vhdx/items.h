// The metadata region of a VHDX [2.6]: what the disk is.
#pragma once

#include <optional>
#include <vector>

#include "formats/vhdx/locator.h"
#include "formats/vhdx/shape.h"
#include "lib/io/file.h"

namespace platter::vhdx {

struct Item {
  MetadataEntry entry;
  Range place;  // bytes of the file, inside the region; empty: it has no contents
};

struct Items {
  Shape shape;
  bool fixed = false;  // blocks keep their space
  Uuid disk_id;        // "page 83 data": of the disk, the same in a child
  uint64_t physical_sector = 0;
  std::optional<Locator> locator;
  std::vector<Item> table;  // all of them, as they stand there
  std::vector<std::string> warnings;

  // The item of the system's that this is; it is there unless it is the locator.
  const Item* find(const DiskGuid& item) const;
};

// Errc::corrupt: an item breaks the rules, or one is missing; unsupported: an unknown one is
// required.
Result<Items> read_items(const File& file, const Range& region);

// The place in the table of its n-th entry, bytes of the file.
inline uint64_t entry_place(const Range& region, size_t n) {
  return region.offset + sizeof(MetadataTableHeader) + n * sizeof(MetadataEntry);
}

}  // namespace platter::vhdx
