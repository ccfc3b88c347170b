// The snapshots inside an image that nobody uses.
#pragma once

#include <string>

#include "lib/container/container.h"

namespace platter {

struct SnapshotArgs {
  std::string path;
  std::string format;  // empty: probe
  References references = References::beside;
  SnapshotRequest::What what = SnapshotRequest::What::create;
  // Which one, as choose_snapshot() has it, of apply by id or name, else by name; not of create.
  std::string snapshot;
  std::string name;  // of create and rename
};

// Locks the image and changes it: as of Image::change_snapshots(). The snapshot it was about, as it
// is or was. Errors name the file.
Result<SnapshotInfo> change_snapshots(const SnapshotArgs& args);

}  // namespace platter
