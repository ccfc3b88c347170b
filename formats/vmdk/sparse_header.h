// The headers of sparse extents, checked. What comes out of here can be computed with freely.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/vmdk/grain_layout.h"
#include "lib/io/file.h"

namespace platter::vmdk {

struct SparseHeader {
  uint32_t magic = 0;  // kSparseMagic or kCowdMagic
  uint32_t version = 1;
  uint32_t flags = 0;
  GrainLayout layout;
  std::optional<Range> descriptor;  // embedded: bytes, inside the file
  bool footer_missing = false;      // the place of the directory is not known
  uint64_t file_size = 0;           // bytes, when it was opened
  std::vector<std::string> warnings;
};

// Of a hosted sparse extent, or of its footer where it has one. Errc::wrong_format: not one;
// unsupported: a later version, or compressed otherwise; corrupt: what breaks the format's rules.
Result<SparseHeader> parse_sparse_header(const File& file);

// Of an extent of ESX ("COWD").
Result<SparseHeader> parse_cowd_header(const File& file);

}  // namespace platter::vmdk
