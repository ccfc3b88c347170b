// A sparse extent made larger.
#pragma once

#include "formats/vmdk/sparse_header.h"

namespace platter::vmdk {

// from, to: bytes of the disk in the extent. What comes behind from reads as zeroes; in a child
// also where its parent has something, for which its tables must be able to say it
// (Errc::unsupported otherwise). Tables that are missing come at the end of the file, and the
// directories with them when they outgrow their place. Durable; the header's capacity changes last,
// in one write. The extent is marked unclean before, and stays it. Errc::corrupt: its tables are
// not sound; invalid: no sparse extent can be that large.
Result<void> grow_sparse(File& file, const SparseHeader& header, uint64_t from, uint64_t to,
                         bool child);

}  // namespace platter::vmdk
