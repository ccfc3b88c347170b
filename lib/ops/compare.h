// Compare: do two disks show their guests the same bytes?
#pragma once

#include <optional>

#include "lib/base/progress.h"
#include "lib/container/view.h"

namespace platter {

struct CompareArgs {
  ViewPtr a, b;
  // Disks of different sizes differ, whatever is in them. Otherwise a longer one is the same when
  // the rest of it reads as zeroes.
  bool strict = false;
  unsigned threads = 1;  // at least 1
};

struct CompareReport {
  std::optional<uint64_t> first_difference;  // bytes from the start; empty: the same
  bool sizes_differ = false;
};

// Reads nothing where both have holes.
Result<CompareReport> compare(const CompareArgs& args, Progress& progress);

}  // namespace platter
