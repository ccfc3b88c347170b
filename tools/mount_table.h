// The kernel's table of mounts, as this process sees it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace platter {

struct Mount {
  std::string point;   // absolute
  std::string type;    // "fuse.platterfs"
  std::string source;  // what is mounted
  std::string device;  // "0:52"
};

// In the order of mounting: a later one at the same place hides an earlier one.
Result<std::vector<Mount>> read_mounts();

// text: as /proc/self/mountinfo has it (proc(5)); lines it cannot read are left out.
std::vector<Mount> parse_mounts(std::string_view text);

}  // namespace platter
