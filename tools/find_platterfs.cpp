#include "tools/find_platterfs.h"

#include <unistd.h>

#include <climits>

namespace platter {

std::string find_platterfs() {
  char self[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length > 0 && static_cast<size_t>(length) < sizeof self) {
    std::string path(self, static_cast<size_t>(length));
    path.resize(path.rfind('/') + 1);
    path += "platterfs";
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "platterfs";
}

}  // namespace platter
