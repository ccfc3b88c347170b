// From the first cluster of a file to a Header whose every number has been checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/qcow2/layout.h"
#include "lib/image/image.h"

namespace platter::qcow2 {

enum class Compression : unsigned char { deflate = 0, zstd = 1 };

// Specification, "Header": crypt_method.
enum class Encryption : unsigned char { none = 0, aes = 1, luks = 2 };

// A table of be64 entries in the file: aligned to a cluster, not at offset 0, inside the file.
struct Table {
  uint64_t offset = 0;   // bytes
  uint64_t entries = 0;  // 0: there is no table
  Range place() const { return {offset, entries * sizeof(be64)}; }
};

struct Header {
  uint32_t version = 0;
  uint64_t header_length = 0;  // bytes
  uint32_t cluster_bits = 0;
  uint64_t size = 0;  // of the disk, bytes, whole sectors
  uint64_t file_size = 0;
  Table l1;  // covers size, unless nothing_left
  Table refcount_table;
  uint32_t refcount_order = 4;  // a refcount has 2^refcount_order bits
  uint32_t snapshots = 0;
  uint64_t snapshots_offset = 0;

  bool dirty = false;
  bool corrupt = false;         // marked, or known to be
  bool marked_corrupt = false;  // as the header says
  bool lazy_refcounts = false;
  bool extended_l2 = false;
  bool external_data = false;
  bool data_file_raw = false;
  Compression compression = Compression::deflate;
  Encryption encryption = Encryption::none;
  Range luks;  // the LUKS header and its key material, bytes of the file; else empty

  std::string backing_file;    // empty: none
  std::string backing_format;  // empty: not said
  std::string data_file;       // empty: not said
  uint64_t autoclear = 0;      // as stored
  uint32_t bitmaps = 0;        // 0: none, or none that are valid
  Table bitmap_directory;      // in words of 64 bits
  uint32_t unknown_extensions = 0;
  Features features;
  // The file ends inside its first cluster: the header is there and no table.
  bool nothing_left = false;
  std::vector<std::string> warnings;
  // With Damage::kept: what is wrong with a table, which is as if there were none.
  std::string refcount_table_fault, snapshot_table_fault, bitmaps_fault;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint32_t refcount_bits() const { return 1U << refcount_order; }
};

// Of tables that are not needed to read the disk: whether an image with a bad one is refused.
enum class Damage : unsigned char { refused, kept };

// Errc::wrong_format: no qcow2 magic; unsupported: a version, a feature or encryption that is not
// known; corrupt: everything else. Reads the first cluster at most.
Result<Header> parse_header(const File& file, Damage damage = Damage::refused);

// The table of entries 64-bit numbers at offset, checked; what: its name in the message.
Result<Table> check_table(std::string_view what, uint64_t offset, uint64_t entries,
                          const Header& header);

}  // namespace platter::qcow2
