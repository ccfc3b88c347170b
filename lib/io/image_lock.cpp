#include "lib/io/image_lock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <span>
#include <sstream>

#include <fmt/format.h>

#include "lib/base/log.h"
#include "lib/io/posix_file.h"

namespace platter {
namespace {

constexpr off_t kUses = 100;
constexpr off_t kForbids = 200;
constexpr off_t kConsistentRead = 0;
constexpr off_t kWrite = 1;
constexpr off_t kResize = 3;

constexpr off_t kReader[] = {kConsistentRead};
constexpr off_t kWriter[] = {kConsistentRead, kWrite, kResize};
constexpr off_t kNobodyElse[] = {kWrite, kResize};

struct flock byte_lock(short type, off_t at) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

int take(int fd, off_t at) {
  struct flock lock = byte_lock(F_RDLCK, at);
  return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

bool held_by_another(int fd, off_t at) {
  struct flock lock = byte_lock(F_WRLCK, at);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// One line of /proc/PID/fdinfo/FD: "lock: 1: OFDLCK ADVISORY READ -1 fe:00:1234 100 101".
bool is_lock_on(const std::string& line, ino_t inode, off_t at) {
  std::istringstream in(line);
  std::string tag, number, kind, advisory, mode, pid, file, first, last;
  in >> tag >> number >> kind >> advisory >> mode >> pid >> file >> first >> last;
  if (tag != "lock:" || kind != "OFDLCK") return false;
  const size_t colon = file.rfind(':');
  if (colon == std::string::npos || file.substr(colon + 1) != std::to_string(inode)) return false;
  const auto value = [](const std::string& text) {
    off_t out = text == "EOF" ? INT64_MAX : -1;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
  };
  return value(first) <= at && at <= value(last);
}

bool holds_lock(const std::string& pid, ino_t inode, off_t at) {
  const std::string path = "/proc/" + pid + "/fdinfo";
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(dir)) {
    std::ifstream in(path + "/" + entry->d_name);
    for (std::string line; !found && std::getline(in, line);) found = is_lock_on(line, inode, at);
    if (found) break;
  }
  closedir(dir);
  return found;
}

// The kernel does not say who holds such a lock; /proc shows it for processes of ours. Empty: none
// that we may see.
std::string holder_of(int fd, off_t at) {
  struct stat st = {};
  DIR* dir = opendir("/proc");
  if (dir == nullptr || fstat(fd, &st) != 0) return {};
  std::string holder;
  while (const dirent* entry = readdir(dir)) {
    const std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    // Our own other openings count too, but are looked for last.
    if (pid != std::to_string(getpid()) && holds_lock(pid, st.st_ino, at)) holder = pid;
    if (!holder.empty()) break;
  }
  closedir(dir);
  return holder;
}

Error busy(int fd, const std::string& name, off_t at) {
  const char* what = at < kForbids ? "is open for writing in" : "is held by";
  const std::string pid = holder_of(fd, at);
  const std::string who = pid.empty() ? "another process" : "process " + pid;
  return {Errc::busy, fmt::format("{}: {} {}", name, what, who)};
}

Result<void> take_all(int fd, const std::string& name, off_t base, std::span<const off_t> bytes) {
  for (const off_t byte : bytes) {
    const int error = take(fd, base + byte);
    if (error == EAGAIN || error == EACCES) return busy(fd, name, base + byte);
    if (error != 0) return system_error(name, "cannot lock", error);
  }
  return {};
}

}  // namespace

Result<void> lock_image(int fd, const std::string& name, LockMode mode) {
  const std::span<const off_t> uses =
      mode == LockMode::write ? std::span<const off_t>(kWriter) : std::span<const off_t>(kReader);
  Result<void> taken = take_all(fd, name, kUses, uses);
  if (taken) taken = take_all(fd, name, kForbids, kNobodyElse);
  if (!taken) {
    const int error = taken.error().sys_errno();
    if (error != EINVAL && error != ENOLCK && error != EOPNOTSUPP) return taken;
    log::warning("{}: its filesystem has no locks: nothing keeps other programs away", name);
    return {};
  }
  for (const off_t byte : uses) {
    if (held_by_another(fd, kForbids + byte)) return busy(fd, name, kForbids + byte);
  }
  for (const off_t byte : kNobodyElse) {
    if (held_by_another(fd, kUses + byte)) return busy(fd, name, kUses + byte);
  }
  return {};
}

}  // namespace platter
