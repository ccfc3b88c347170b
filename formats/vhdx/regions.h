// The region table of a VHDX: where BAT and metadata are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/vhdx/layout.h"
#include "lib/io/file.h"

namespace platter::vhdx {

// Holds: every range is whole units behind the header section and ends at or before kMaxOffset;
// none overlaps another one.
struct Regions {
  Range bat, metadata;           // bytes
  std::vector<Range> unknown;    // not required ones of other kinds
  std::vector<std::byte> table;  // as it lies in the file, whole
  // What is wrong with each copy; empty: nothing.
  std::array<std::string, 2> faults;
  bool copies_differ = false;
};

// The first table that is right. Errc::corrupt when neither is; unsupported for a required region
// of an unknown kind.
Result<Regions> read_regions(const File& file);

// The table with another place for a region, its checksum right.
std::vector<std::byte> moved_region(std::vector<std::byte> table, const DiskGuid& guid,
                                    const Range& place);

// A table of these two regions.
std::vector<std::byte> new_region_table(const Range& bat, const Range& metadata);

}  // namespace platter::vhdx
