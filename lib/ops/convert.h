// Convert: the guest's view copied into a new image, sparsely.
#pragma once

#include <vector>

#include "lib/base/progress.h"
#include "lib/container/view.h"
#include "lib/ops/create.h"

namespace platter {

struct ConvertArgs {
  std::vector<ViewPtr> sources;  // laid end to end; at least one
  CreateArgs target;             // its size: at least that of the sources; zeroes fill the rest
  ViewPtr parent;                // what target.parent shows; null: it has none, or see own
  // Those layers of the one source whose contents are copied, where target.parent shows what the
  // others do; the sizes are the same. Null: what the whole of it has.
  const View* own = nullptr;
  unsigned threads = 1;  // that read, decode and compress; at least 1
};

struct ConvertReport {
  uint64_t copied = 0;   // bytes written
  uint64_t encoded = 0;  // of those, bytes that are stored compressed
  uint64_t zeroes = 0;   // bytes found to be zeroes, and left out; over a parent, marked as such
  uint64_t same = 0;     // bytes that the parent has, left out
  uint64_t holes = 0;    // bytes left out without a look at them
};

// Reads and compresses in parallel, ahead of the one writer, in bounded memory. Blocks of zeroes
// are left out, over a parent those that are as in it. On any error, and on Errc::cancelled, there
// is no new file.
Result<ConvertReport> convert(const ConvertArgs& args, Progress& progress);

}  // namespace platter
