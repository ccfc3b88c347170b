// parse: a VHD's footers and header, checked. What comes out of here can be computed with freely.
#pragma once

#include <string>
#include <vector>

#include "formats/vhd/layout.h"
#include "lib/base/checked.h"
#include "lib/base/uuid.h"
#include "lib/io/file.h"

namespace platter::vhd {

struct Locator {
  std::string code;  // four letters
  Range where;       // of its text, bytes of the file
  Range space;       // what is kept for it there
  std::string text;  // UTF-8
};

// Holds: 0 < disk_size <= kMaxDiskSize, a multiple of a sector, and, but for a fixed disk:
// entries * block_size >= disk_size; the table lies in front of data_end, clear of footer and
// header.
struct Parsed {
  Type type = Type::dynamic;
  Footer footer;
  bool trailing = true;      // there is one at the end of the file
  bool copy_fits = true;     // there is the same at its start, if the type wants one
  bool footer_sound = true;  // its checksum is right
  uint64_t file_size = 0;    // bytes, when it was opened
  uint64_t data_end = 0;     // bytes: where the trailing footer begins, or file_size
  uint64_t disk_size = 0;    // bytes
  Uuid uuid;                 // nil: has none

  // But for a fixed disk.
  DynamicHeader header;
  bool header_sound = true;
  uint64_t header_offset = 0, table_offset = 0;  // bytes
  uint32_t entries = 0;                          // of the table; the disk may need fewer
  uint32_t block_size = 0;                       // bytes, a power of two, 512 to 256 MiB
  // Of a differencing disk.
  Uuid parent_uuid;  // nil: does not say
  std::string parent_name;
  std::vector<Locator> locators;

  std::vector<std::string> warnings;

  uint64_t bitmap_size() const { return vhd::bitmap_size(block_size); }
  // Bytes of a block in the file.
  uint64_t stride() const { return bitmap_size() + block_size; }
  // Of the disk.
  uint64_t blocks() const { return div_up(disk_size, block_size); }
  uint64_t table_end() const { return table_offset + 4 * uint64_t{entries}; }
  // Everything in the file but blocks and the trailing footer, in no order.
  std::vector<Range> places() const;
};

// Errc::wrong_format without a footer; unsupported for a version other than 1; corrupt for what
// breaks the format's rules. A wrong checksum is a warning: everything else has to be right.
Result<Parsed> parse(const File& file);

}  // namespace platter::vhd
