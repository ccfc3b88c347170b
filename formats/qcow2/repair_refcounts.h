// Refcounts mended: in place where they are too high, else all of them anew.
#pragma once

#include "formats/qcow2/check_census.h"

namespace platter::qcow2 {

// Refcounts of clusters that are used less often than they say. Durable when it returns; a crash
// leaves each refcount old or new.
Result<void> lower_refcounts(File& file, const CheckedImage& image);

struct Rebuild {
  uint64_t first = 0;      // where the new clusters go: behind the file and all that is pointed at
  uint64_t reserved = 0;   // clusters that get a refcount of 1 for the caller to use
  bool keep_high = false;  // no refcount gets lower
};
// Writes refcounts for every cluster into new blocks, makes the header point at them and returns
// the first of the reserved clusters. Durable when it returns; a crash leaves the old refcounts or
// the new ones. Errc::no_space: they do not fit a table of 8 MiB. With an error the old ones hold.
Result<uint64_t> rebuild_refcounts(File& file, const CheckedImage& image, const Rebuild& how);

}  // namespace platter::qcow2
