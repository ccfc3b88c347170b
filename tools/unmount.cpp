#include "tools/unmount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "lib/host/child.h"
#include "lib/host/mount_table.h"
#include "lib/host/mount_users.h"
#include "lib/io/posix_file.h"

namespace platter {
namespace {

// A handle of the daemon that serves the mount; empty when it is gone already, or belongs to
// another namespace. It stays its own even when the number is used again.
Descriptor daemon_of(const std::string& point) {
  char value[16];
  const ssize_t length = getxattr(point.c_str(), "user.platter.pid", value, sizeof value);
  pid_t pid = 0;
  if (length <= 0 || std::from_chars(value, value + length, pid).ec != std::errc()) {
    return Descriptor();
  }
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), name);
  if (name.find("platterfs") == std::string::npos) return Descriptor();
  return Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

Error cannot_flush() {
  return Error(Errc::io, fmt::format("cannot flush: {}; it stays mounted", strerror(errno)), errno);
}

// What was written through mappings reaches the daemon by fsync() of that file, and no other way:
// syncfs() does not wait for a FUSE mount. Partitions have no pages of their own.
Result<void> flush_disks(const std::string& point) {
  std::string names(64 * KiB, '\0');
  const ssize_t length =
      getxattr(point.c_str(), "user.platter.written", names.data(), names.size());
  names.resize(length > 0 ? static_cast<size_t>(length) : 0);
  std::istringstream in(names);
  for (std::string name; std::getline(in, name, '\0');) {
    const std::string path = point + "/" + name + "/disk.raw";
    const Descriptor disk(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!disk || fsync(disk.get()) != 0) return cannot_flush();
  }
  return {};
}

Result<void> flush(const std::string& point) {
  const Descriptor root(open(point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root && errno == ENOTCONN) return {};
  if (!root) return cannot_flush();
  TRY(flush_disks(point));
  if (fsync(root.get()) != 0) return cannot_flush();
  return {};
}

Error busy(const std::string& point) {
  const std::vector<std::string> users = mount_users(point);
  if (users.empty()) {
    return Error(Errc::busy, "is busy; what uses it is not visible to this user", EBUSY);
  }
  return Error(Errc::busy, fmt::format("is busy: used by {}", fmt::join(users, ", ")), EBUSY);
}

Result<void> detach(const std::string& point) {
  if (umount2(point.c_str(), UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EBUSY) return busy(point);
  if (errno != EPERM) {
    return Error(Errc::io, fmt::format("cannot unmount: {}", strerror(errno)), errno);
  }
  // Not for this user to do, but fusermount3 may when the mount is the user's own.
  const ChildResult child = TRY(run_child({"fusermount3", "-u", "--", point}));
  if (child.status == 0) return {};
  if (child.errors.find("busy") != std::string::npos) return busy(point);
  std::string complaint = child.errors.substr(0, child.errors.find('\n'));
  return Error(Errc::denied, complaint.empty() ? "fusermount3 failed" : std::move(complaint));
}

Result<void> wait_until_gone(const Descriptor& daemon, std::chrono::seconds patience) {
  if (!daemon) return {};
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd wanted = {.fd = daemon.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&wanted, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    return Error(Errc::busy, fmt::format("is unmounted, but after {} s its daemon still runs",
                                         patience.count()));
  }
}

Result<void> unmount_at(const std::string& point, std::chrono::seconds patience) {
  const std::string type = TRY(mounted_type(point));
  if (type.empty()) return Error(Errc::invalid, "nothing is mounted there");
  const bool ours = type == "fuse.platterfs";
  Descriptor daemon;
  if (type.starts_with("fuse")) daemon = daemon_of(point);
  // A mount under another name (-o subtype=) is known by the daemon that speaks for it.
  if (!ours && !daemon) {
    return Error(Errc::invalid, fmt::format("is not a platter mount but one of type {}", type));
  }
  TRY(flush(point));
  TRY(detach(point));
  return wait_until_gone(daemon, patience);
}

}  // namespace

Result<void> unmount(const UnmountArgs& args) {
  const std::string point = TRY(absolute_mountpoint(args.mountpoint));
  TRY_IN(args.mountpoint, unmount_at(point, args.patience));
  return {};
}

}  // namespace platter
