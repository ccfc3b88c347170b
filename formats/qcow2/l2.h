// L2 entries: from the bits of one to what they say of a cluster's bytes.
#pragma once

#include "formats/qcow2/layout.h"

namespace platter::qcow2 {

// What decides how entries are read; constant for an image.
struct L2Shape {
  uint32_t cluster_bits = 16;
  uint32_t version = 3;
  bool extended = false;       // 16-byte entries with a bitmap of 32 subclusters
  bool external_data = false;  // guest data lies in another file

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  // Bits of an entry's size and of the number of entries in a table, which is one cluster.
  uint32_t entry_bits() const { return extended ? 4 : 3; }
  uint32_t table_bits() const { return cluster_bits - entry_bits(); }
  // Guest bytes that one table maps.
  uint64_t table_span() const { return uint64_t{1} << (cluster_bits + table_bits()); }
};

struct L2Entry {
  uint64_t word = 0;
  uint64_t bitmap = 0;  // extended only: the low half "allocated", the high half "reads as zeroes"

  friend bool operator==(const L2Entry&, const L2Entry&) = default;
};

// What an entry says of the guest bytes from some offset in its cluster on.
struct Allocation {
  enum class Kind : unsigned char {
    unallocated,  // the backing file's
    zero,
    data,        // at host
    compressed,  // in the stream at host
    invalid,     // problem says why
  };
  Kind kind = Kind::unallocated;
  uint64_t length = 0;  // bytes of the same kind up to the cluster's end; 0 when invalid
  uint64_t host = 0;    // data: of the offset asked for; compressed: of the stream's first byte
  uint32_t stored = 0;  // compressed: the most bytes the stream can have
  bool owned = false;   // data: nothing else points at the cluster
  const char* problem = nullptr;
};

// in_cluster: bytes, below the cluster size. Pure.
Allocation decode(const L2Shape& shape, const L2Entry& entry, uint64_t in_cluster);

// The entry of a compressed cluster that is in length bytes, 1 to a cluster, from host on. Pure.
uint64_t compressed_word(uint32_t cluster_bits, uint64_t host, uint64_t length);
// Bytes of the file that such entries can name.
uint64_t max_stream_end(uint32_t cluster_bits);

}  // namespace platter::qcow2
