#include "lib/image/image_writer.h"

#include <vector>

#include "lib/base/checked.h"

namespace platter {

// A format that can only store them.
Result<void> ImageWriter::zero(const Range& range) {
  const uint64_t piece = div_up(MiB, block_size()) * block_size();
  const std::vector<std::byte> zeroes(std::min(piece, range.length));
  for (uint64_t at = range.offset; at < range.end(); at += zeroes.size()) {
    TRY(write(at, Bytes(zeroes).first(std::min<uint64_t>(zeroes.size(), range.end() - at))));
  }
  return {};
}

Result<void> ImageWriter::write_encoded(uint64_t /*offset*/, Bytes /*stored*/) {
  return Error(Errc::unsupported, "this image is not compressed");
}

}  // namespace platter
