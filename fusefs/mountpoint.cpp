#include "fusefs/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/host/child.h"
#include "lib/host/mount_table.h"
#include "lib/io/posix_file.h"

namespace platter::fusefs {
namespace {

constexpr const char* kDevice = "/dev/fuse";
constexpr int kMostStacked = 16;  // dead mounts, one on the other

bool is_empty(DIR* directory) {
  while (const dirent* entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) return false;
  }
  return true;
}

// Its attributes may still be known to the kernel: only who looks into it is told.
bool is_dead(const std::string& path) {
  const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return !directory && errno == ENOTCONN;
}

Result<void> clear_dead_mount(const std::string& path) {
  const std::string point = TRY(absolute_mountpoint(path));
  const std::string type = TRY(mounted_type(point));
  if (type != "fuse.platterfs") {
    return Error(Errc::invalid, fmt::format("{}: cannot be the mountpoint: the daemon of the {} "
                                            "mounted there has died",
                                            path, type.empty() ? "filesystem" : type));
  }
  // Whoever still has something of it open keeps that, and gets errors as before.
  if (umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
    const ChildResult child = TRY(run_child({"fusermount3", "-u", "-z", "--", point}));
    if (child.status != 0) {
      return Error(Errc::busy, path + ": what a killed platterfs left there cannot be unmounted");
    }
  }
  fmt::print(stderr, "platterfs: {}: unmounted what a killed platterfs had left there\n",
             printable(path));
  return {};
}

Error unusable(const std::string& path) {
  return system_error(path, "cannot be the mountpoint", errno);
}

}  // namespace

Result<std::string> check_mountpoint(const std::string& path, bool nonempty) {
  for (int i = 0; i < kMostStacked && is_dead(path); ++i) TRY(clear_dead_mount(path));
  const std::unique_ptr<char, void (*)(void*)> resolved(realpath(path.c_str(), nullptr), free);
  if (!resolved) return unusable(path);
  struct stat st = {};
  if (stat(resolved.get(), &st) != 0) return unusable(path);
  if (!S_ISDIR(st.st_mode)) {
    return Error(Errc::invalid, path + ": cannot be the mountpoint: not a directory");
  }
  if (!nonempty) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(resolved.get()), closedir);
    if (!directory) return unusable(path);
    if (!is_empty(directory.get())) {
      return Error(Errc::invalid,
                   path + ": the mountpoint is not empty (nonempty mounts over it all the same)");
    }
  }
  return std::string(resolved.get());
}

std::string missing_for_mounts() {
  const Descriptor device(open(kDevice, O_RDWR | O_CLOEXEC));
  if (!device && (errno == ENOENT || errno == ENXIO || errno == ENODEV)) {
    return fmt::format(
        "there is no {} here (modprobe fuse; in a container, start it with --device "
        "{} --cap-add SYS_ADMIN)",
        kDevice, kDevice);
  }
  if (!device && errno == EACCES && geteuid() != 0) {
    return fmt::format("this user may not open {} (chmod 0666 is what systems do with it)",
                       kDevice);
  }
  if (!device && (errno == EPERM || errno == EACCES)) {
    return fmt::format(
        "{} may not be opened: {} (a container needs --device {} --cap-add "
        "SYS_ADMIN)",
        kDevice, strerror(errno), kDevice);
  }
  if (geteuid() != 0 && !run_child({"fusermount3", "-V"})) {
    return "fusermount3, which mounts for users, cannot be run (Debian has it in the package "
           "fuse3)";
  }
  return {};
}

}  // namespace platter::fusefs
