// The kernel's table of mounts, as this process sees it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace platter {

struct HostMount {
  std::string point;   // absolute
  std::string type;    // "fuse.platterfs"
  std::string source;  // what is mounted
  std::string device;  // "0:52"
};

// In the order of mounting: a later one at the same place hides an earlier one.
Result<std::vector<HostMount>> read_mounts();

// The path of a mountpoint, also of one whose daemon has died: of the last component nothing is
// asked but its name.
Result<std::string> absolute_mountpoint(std::string path);

// The type of the topmost mount at an absolute path; empty: nothing is mounted there.
Result<std::string> mounted_type(const std::string& point);

// text: as /proc/self/mountinfo has it (proc(5)); lines it cannot read are left out.
std::vector<HostMount> parse_mounts(std::string_view text);

}  // namespace platter
