// The headers of seSparse extents, checked. What comes out of here can be computed with freely.
#pragma once

#include "formats/vmdk/sesparse_layout.h"
#include "lib/io/file.h"

namespace platter::vmdk {

// Bytes, inside the file but for the capacity.
struct SeSparseHeader {
  uint64_t capacity = 0;   // at least 1, at most what the directory has entries for
  uint64_t directory = 0;  // where it begins
  uint64_t tables = 0;     // where table 0 begins
  uint64_t grains = 0;     // where grain 0 begins
  uint64_t file_size = 0;  // when it was opened
  bool dirty = false;      // its journal has what its tables lack
};

// Errc::wrong_format: no seSparse extent; unsupported: of another version or shape; corrupt: what
// breaks the format's rules.
Result<SeSparseHeader> parse_sesparse_header(const File& file);

}  // namespace platter::vmdk
