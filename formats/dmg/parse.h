// parse: the tables of an image, checked. What comes out of here can be computed with freely.
#pragma once

#include <string>
#include <vector>

#include "formats/dmg/tables.h"

namespace platter::dmg {

// A run of sectors of the disk, and where it is. Bytes.
struct Chunk {
  uint64_t start = 0, length = 0;  // in the disk, whole sectors
  uint64_t host = 0, stored = 0;   // in the file; of zeroes 0
  uint32_t type = 0;

  bool holds_zeroes() const { return type == kZeroes || type == kIgnored; }
  bool is_known() const;  // holds_zeroes(), raw, or of a codec
  uint64_t end() const { return start + length; }
};
// "zlib"; of one that is not known "type 0x80000009".
std::string type_name(uint32_t type);

// A part of the disk that has a table of its own.
struct Part {
  std::string name;  // as stored; empty: none
  StoredChecksum checksum;
  std::vector<Chunk> chunks;  // in the table's order, none of them empty
};

// One table. Holds: its chunks are inside it and the disk; what they take of the file is inside the
// data fork, of raw ones not more than they need; compressed ones are at most kMaxUnit, from
// kMaxStored. Errc::corrupt otherwise, and unsupported for another version.
Result<Part> parse_table(const Places& places, size_t number, const std::string& name, Bytes bytes);

struct PartInfo {
  std::string name;
  uint64_t chunks = 0;
};

struct Parsed {
  Places places;
  std::vector<Chunk> chunks;  // by their place in the disk, no two overlap; zeroes are left out
  std::vector<PartInfo> parts;
  uint64_t chunk_count = 0;  // with zeroes
  bool has_checksums = false;
};

// Errc::wrong_format: no disk image of Apple; unsupported: one of a kind that is not read; corrupt:
// it breaks the rules.
Result<Parsed> parse(const File& file);

}  // namespace platter::dmg
