// Unmounting a platterfs, and waiting for its end.
#pragma once

#include <chrono>
#include <string>

#include "lib/base/result.h"

namespace platter {

struct UnmountArgs {
  std::string mountpoint;
  // How long the daemon may take after the mount has gone.
  std::chrono::seconds patience{60};
};

// Flushes first: when that fails nothing is unmounted. Errc::busy: the message names who uses it.
// Returns when the daemon is gone. Errors begin with the mountpoint.
Result<void> unmount(const UnmountArgs& args);

}  // namespace platter
