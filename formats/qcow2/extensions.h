// Header extensions: what stands between the header and the backing file name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/qcow2/layout.h"
#include "lib/base/result.h"

namespace platter::qcow2 {

// Strings are as stored, without NUL bytes.
struct Extensions {
  std::string backing_format;
  std::string data_file;
  std::vector<RawFeatureName> feature_names;
  std::optional<RawEncryption> encryption;
  std::optional<RawBitmaps> bitmaps;  // not checked: valid only with its autoclear bit
  uint32_t unknown = 0;
  std::vector<std::string> warnings;

  // The table's name of a feature of that kind, or "bit N".
  std::string feature(uint8_t kind, unsigned bit) const;
};

// area: the bytes of the file from the end of the header on; limit: where the specification lets
// the area end, bytes from its start; area is shorter where the file is.
Result<Extensions> parse_extensions(Bytes area, uint64_t limit);

}  // namespace platter::qcow2
