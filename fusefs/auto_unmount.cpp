#include "fusefs/auto_unmount.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace platter::fusefs {
namespace {

// Behind all that libfuse opens for its threads, and no larger a table than it must be.
constexpr rlim_t kHigh = 4000;

int high_number() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<int>(std::min(limit.rlim_cur * 3 / 4, kHigh));
}

}  // namespace

std::set<int> open_sockets() {
  std::set<int> sockets;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const auto fd = static_cast<int>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    struct stat st = {};
    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) sockets.insert(fd);
  }
  return sockets;
}

void close_last(const std::set<int>& before) {
  for (const int fd : open_sockets()) {
    // Where there is no room for another it stays as it is.
    if (!before.contains(fd) && fcntl(fd, F_DUPFD_CLOEXEC, high_number()) >= 0) close(fd);
  }
}

}  // namespace platter::fusefs
