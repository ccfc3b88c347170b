#include "formats/vhd/fill.h"

#include <algorithm>
#include <vector>

namespace platter::vhd {

Result<void> fill_range(File& file, Range range, std::byte value) {
  const std::vector<std::byte> piece(std::min(range.length, MiB), value);
  while (!range.empty()) {
    const uint64_t n = std::min<uint64_t>(piece.size(), range.length);
    TRY(file.write(range.offset, Bytes(piece).first(n)));
    range = {range.offset + n, range.length - n};
  }
  return {};
}

}  // namespace platter::vhd
