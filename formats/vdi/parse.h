// parse: a VDI's headers, checked. What comes out of here can be computed with freely.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/vdi/layout.h"
#include "lib/image/image.h"

namespace platter::vdi {

// Holds: blocks * block_size >= disk_size > 0; the map lies between the headers and the data, and
// inside the file; no address of a block overflows 64 bits.
struct Parsed {
  unsigned major = 0, minor = 0;
  Type type = Type::dynamic;
  uint32_t flags = 0;
  std::string comment;
  uint64_t map_offset = 0, data_offset = 0;  // bytes
  uint64_t disk_size = 0;                    // bytes, a multiple of 512
  uint32_t block_size = 0;                   // bytes, a power of two from 512 to 256 MiB
  uint32_t block_extra = 0;                  // bytes in front of each block's data
  uint32_t blocks = 0, blocks_allocated = 0;
  Uuid uuid, modification_uuid, parent_uuid, parent_modification_uuid;  // nil: has none
  std::optional<Geometry> lchs;
  uint64_t file_size = 0;  // bytes, when it was opened
  std::vector<std::string> warnings;

  // Bytes from one block to the next in the file.
  uint64_t stride() const { return uint64_t{block_size} + block_extra; }
  // Where the data of the block of this number begins in the file.
  uint64_t host_of(uint32_t number) const { return data_offset + number * stride() + block_extra; }
  // Blocks whose data begins inside a file of this size; the last of them may be short.
  uint64_t blocks_in(uint64_t size) const;
};

// A file that lacks blocks its map points at.
enum class Truncated : unsigned char { refused, warned_of };

// Errc::wrong_format without the signature; unsupported for a version other than 0.x and 1.x;
// corrupt for what breaks the format's rules.
Result<Parsed> parse(const File& file, Truncated truncated = Truncated::refused);

}  // namespace platter::vdi
