// Changes of the snapshots of an image that nobody else is at.
#pragma once

#include "lib/image/image.h"

namespace platter::test {

inline Result<void> change_snapshots(Image& image, const SnapshotRequest& request) {
  const auto change = TRY(image.change_snapshots(request));
  TRY(change->prepare());
  TRY(change->finish());
  TRY(change->clean_up());
  return image.flush(false);
}

inline Result<void> take_snapshot(Image& image, std::string_view name) {
  return change_snapshots(image,
                          {.what = SnapshotRequest::What::create, .name = std::string(name)});
}

}  // namespace platter::test
