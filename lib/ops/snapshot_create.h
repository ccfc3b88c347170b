// A snapshot inside an image that nobody uses.
#pragma once

#include <string>

#include "lib/container/container.h"

namespace platter {

struct SnapshotArgs {
  std::string path;
  std::string format;  // empty: probe
  References references = References::beside;
  std::string name;
};

// Locks the image and keeps its state: as of Image::create_snapshot(). Errors name the file.
Result<SnapshotInfo> create_snapshot(const SnapshotArgs& args);

}  // namespace platter
