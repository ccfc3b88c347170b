// The directory a mount is to be at, and what a mount needs of the machine.
#pragma once

#include <string>

#include "lib/base/result.h"

namespace platter::fusefs {

// Where to mount: an absolute path without symbolic links. Errc::invalid unless it is a directory,
// and an empty one where nonempty is false. What a platterfs that was killed has left there is
// unmounted first, which is said on standard error.
Result<std::string> check_mountpoint(const std::string& path, bool nonempty);

// What this machine lacks for any mount by this user; empty: nothing that is known.
std::string missing_for_mounts();

}  // namespace platter::fusefs
