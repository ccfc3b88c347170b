// parse: the header of a qcow image, checked.
#pragma once

#include <string>
#include <vector>

#include "formats/qcow/layout.h"
#include "lib/io/file.h"

namespace platter::qcow {

// Holds: the L1 table covers the disk, lies in the file behind the fields of the header, and is
// aligned to its entries; size is at least a sector.
struct Header {
  uint64_t size = 0;  // of the disk, bytes, whole sectors
  uint32_t cluster_bits = 12;
  uint32_t l2_bits = 9;
  uint64_t l1_offset = 0;  // bytes
  uint64_t l1_entries = 0;
  std::string backing_file;  // empty: none
  Range backing_name;        // where that stands in the file
  uint32_t mtime = 0;        // of the backing file, seconds since 1970; 0: not said
  bool encrypted = false;    // clusters that are not compressed: by legacy_aes_cipher()
  uint64_t file_size = 0;    // bytes, when it was opened
  std::vector<std::string> warnings;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t table_entries() const { return uint64_t{1} << l2_bits; }
  uint64_t table_bytes() const { return sizeof(be64) << l2_bits; }
  // Guest bytes that one L2 table maps.
  uint64_t table_span() const { return uint64_t{1} << (cluster_bits + l2_bits); }
  Range l1() const { return {l1_offset, l1_entries * sizeof(be64)}; }
  // Whether a byte of the range belongs to the header, the backing file's name or the L1 table.
  bool holds_any_of(const Range& range) const;
};

// Errc::wrong_format: not a qcow of version 1; unsupported: encrypted in a way nobody knows;
// corrupt: everything else.
Result<Header> parse_header(const File& file);

}  // namespace platter::qcow
