// Who keeps a mount busy.
#pragma once

#include <string>
#include <vector>

namespace platter {

// "/dev/loop3", "process 4711 (bash)", "the mount POINT/below": at most 16, those this user may
// see. point: the absolute path of the mount. Opens nothing in it: a hung filesystem does no harm.
std::vector<std::string> mount_users(const std::string& point);

}  // namespace platter
