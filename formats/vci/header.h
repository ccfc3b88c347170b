// The header of a cache image.
#pragma once

#include "formats/vci/shape.h"

namespace platter::vci {

// A header that is ours.
struct ParsedHeader {
  Header raw;
  Shape shape;         // where damage is empty
  std::string damage;  // what is wrong with it
};

// Errc::wrong_format: no cache image, or another program's.
Result<ParsedHeader> read_header(const File& file);

// With its checksum; durable only with the file's next sync().
Result<void> write_header(File& file, Header header);

}  // namespace platter::vci
