#include "lib/io/zero_runs.h"

#include <algorithm>
#include <vector>

#include "lib/base/zeroes.h"

namespace platter {

Result<bool> reads_as_zeroes(const File& file, const Range& range) {
  Range rest = intersect(range, {0, TRY(file.stat()).size});
  std::vector<std::byte> piece;
  // The first bytes tell of most data; who gets past them reads in longer pieces.
  uint64_t length = 4 * KiB;
  while (!rest.empty()) {
    const File::Run run = TRY(file.run_at(rest.offset));
    uint64_t n = std::min(run.range.end() - rest.offset, rest.length);
    if (run.data) {
      n = std::min(n, length);
      length = std::min(16 * length, MiB);
      piece.resize(n);
      TRY(file.read_padded(rest.offset, piece));
      if (!all_zero(piece)) return false;
    }
    rest = {rest.offset + n, rest.length - n};
  }
  return true;
}

}  // namespace platter
