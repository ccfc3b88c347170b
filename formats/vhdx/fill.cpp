#include "formats/vhdx/fill.h"

#include <algorithm>
#include <vector>

namespace platter::vhdx {

Result<void> zero_range(File& file, const Range& range) {
  if (range.empty() || TRY(file.make_zero(range, File::Zero::free_space))) return {};
  const std::vector<std::byte> zeroes(std::min(range.length, MiB));
  for (uint64_t at = range.offset; at < range.end(); at += zeroes.size()) {
    TRY(file.write(at, Bytes(zeroes).first(std::min<uint64_t>(zeroes.size(), range.end() - at))));
  }
  return {};
}

}  // namespace platter::vhdx
