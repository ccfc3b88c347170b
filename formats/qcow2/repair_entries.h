// Entries of L1 and L2 tables mended in place.
#pragma once

#include "formats/qcow2/check_census.h"

namespace platter::qcow2 {

// Both are durable when they return, and leave alone what lies in a cluster that is used for
// something else, too: it may be guest data.

// Entries with a fault that can be mended.
Result<void> mend_entries(File& file, const CheckedImage& image);
// COPIED flags of the disk's own tables become what the stored refcounts say.
Result<void> set_copied_flags(File& file, const CheckedImage& image);

}  // namespace platter::qcow2
