#include "tools/live_snapshot.h"

#include <sys/xattr.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "lib/host/mount_table.h"
#include "lib/io/posix_file.h"

namespace platter {
namespace {

namespace fs = std::filesystem;

std::string absolute_name(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  return real ? real.get() : path;
}

// The image that the directory in a mount is the container of; empty: it is none.
std::string image_of(const fs::path& directory) {
  char path[PATH_MAX];
  const ssize_t length = getxattr(directory.c_str(), "user.platter.file", path, sizeof path);
  if (length <= 0) return {};
  return absolute_name(std::string(path, static_cast<size_t>(length)));
}

// Where the mount shows the image, or what lies at that place in it; empty: nowhere.
fs::path shown_by(const HostMount& mount, const fs::path& wanted) {
  const fs::path point = mount.point;
  if (point == wanted || wanted.parent_path() == point) return wanted;
  if (image_of(point) == wanted) return point;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(point, error)) {
    if (image_of(entry.path()) == wanted) return entry.path();
  }
  return {};
}

// The directory of a container.
Result<std::string> find_shown(const std::string& path) {
  const std::string wanted = absolute_name(path);
  std::string found;
  for (const HostMount& mount : TRY(read_mounts())) {
    if (mount.type != "fuse.platterfs") continue;
    if (fs::path shown = shown_by(mount, wanted); !shown.empty()) found = std::move(shown);
  }
  if (found.empty()) return Error(Errc::not_found, path + ": is not mounted");
  return found;
}

}  // namespace

Result<void> apply_snapshot_live(const std::string& image_or_mountpoint,
                                 const std::string& snapshot) {
  const std::string directory = TRY(find_shown(image_or_mountpoint)) + "/snapshots";
  if (setxattr(directory.c_str(), "user.platter.apply", snapshot.data(), snapshot.size(), 0) == 0) {
    return {};
  }
  switch (errno) {
    case ENOENT:
      return Error(Errc::not_found,
                   fmt::format("{}: there is no snapshot \"{}\"", image_or_mountpoint, snapshot));
    case EINVAL:
      return Error(Errc::invalid,
                   fmt::format("{}: several snapshots are called \"{}\": say which with id:ID",
                               image_or_mountpoint, snapshot));
    case EROFS: return Error(Errc::read_only, image_or_mountpoint + ": is mounted read-only");
    default: return system_error(image_or_mountpoint, "cannot go back to the snapshot", errno);
  }
}

}  // namespace platter
