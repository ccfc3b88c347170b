// The snapshots inside an image that nobody uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/container/container.h"

namespace platter {

// What a bare word names: an image's tools differ in that by what they do.
enum class NamedBy : unsigned char {
  name,        // a name, and nothing else
  id_or_name,  // an id, or else a name
};
// The snapshot meant by wanted: "id:X", "name:X", or X as of named_by. Errc::not_found: none is;
// invalid: more than one.
Result<SnapshotInfo> choose_snapshot(const std::vector<SnapshotInfo>& snapshots,
                                     std::string_view wanted, NamedBy named_by);

struct SnapshotArgs {
  std::string path;
  std::string format;  // empty: probe
  References references = References::beside;
  SnapshotRequest::What what = SnapshotRequest::What::create;
  std::string snapshot;  // which one, as choose_snapshot() has it; not of create
  std::string name;      // of create and rename
};

// Locks the image and changes it: as of Image::change_snapshots(). The snapshot it was about, as it
// is or was. Errors name the file.
Result<SnapshotInfo> change_snapshots(const SnapshotArgs& args);

}  // namespace platter
