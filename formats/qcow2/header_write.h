// The first cluster of a new image: header, extensions, the parent's name.
#pragma once

#include <vector>

#include "formats/qcow2/create_options.h"

namespace platter::qcow2 {

// Where the tables of a finished image are, bytes.
struct TablePlaces {
  uint64_t l1_offset = 0;
  uint64_t refcount_table_offset = 0;
  uint64_t refcount_table_clusters = 0;
  Range luks = {};  // with Encryption::luks
};

// At most a cluster; Errc::invalid when the names do not fit into one.
Result<std::vector<std::byte>> compose_header(const Shape& shape, const TablePlaces& places);

}  // namespace platter::qcow2
