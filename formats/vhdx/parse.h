// parse: a VHDX's headers, regions and metadata, checked. What comes out of here can be computed
// with freely.
#pragma once

#include <string>
#include <vector>

#include "formats/vhdx/headers.h"
#include "formats/vhdx/items.h"
#include "formats/vhdx/regions.h"

namespace platter::vhdx {

// Holds: the entries of the BAT that are in use lie in its region and inside the file; log and
// regions do not overlap.
struct Parsed {
  std::string creator;
  Headers headers;
  Regions regions;
  Items items;
  std::vector<Range> taken;  // by log and regions, in the order of their places
  uint64_t file_size = 0;    // bytes, when it was opened
  std::string log_fault;     // why its log cannot be replayed; empty: it is empty, or was
  std::vector<std::string> warnings;

  const Shape& shape() const { return items.shape; }
  bool is_taken(const Range& host) const;
};

// Errc::wrong_format without the signature.
Result<std::string> read_creator(const File& file);

// file: with its log replayed. headers: of it. Errc::corrupt, unsupported: as of the parts.
Result<Parsed> parse(const File& file, const Headers& headers);

// Of a file that may be changed: its log is replayed on disk first.
Result<Parsed> parse_for_change(File& file);

}  // namespace platter::vhdx
