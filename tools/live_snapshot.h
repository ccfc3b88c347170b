// A snapshot of an image that is mounted.
#pragma once

#include <string>

#include "lib/base/result.h"

namespace platter {

// Has the mount of the image, or the mount at that directory, go back to the snapshot: an id, a
// name, "id:X" or "name:X". The disk is what it was when this returns, for whoever reads it there.
Result<void> apply_snapshot_live(const std::string& image_or_mountpoint,
                                 const std::string& snapshot);

}  // namespace platter
