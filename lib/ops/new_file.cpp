#include "lib/ops/new_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "lib/base/uuid.h"

namespace platter {
namespace {

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return path.substr(0, slash + 1);
}

Error exists_already(const std::string& path) {
  return Error(Errc::invalid, fmt::format("{}: exists already; it is not overwritten", path),
               EEXIST);
}

// What open says where O_TMPFILE is not known.
bool lacks_unnamed_files(int error) {
  return error == EOPNOTSUPP || error == EISDIR || error == EINVAL || error == ENOENT;
}

}  // namespace

Result<NewFile> NewFile::begin(const std::string& path, uint32_t mode, Staging staging) {
  Descriptor directory(open(directory_of(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return system_error(path, "cannot create", errno);
  NewFile file(std::move(directory), path);
  const std::string entry = file.entry();
  if (entry.empty() || entry == "." || entry == "..") {
    return Error(Errc::invalid, fmt::format("{}: is no name for a file", path));
  }
  struct stat st = {};
  if (fstatat(file.directory_.get(), entry.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    return exists_already(path);
  }
  Descriptor fd = TRY(file.stage(staging));
  if (fchmod(fd.get(), mode & 07777U) != 0) return system_error(path, "cannot set its mode", errno);
  file.fd_ = fd.get();
  file.file_ = TRY(PosixFile::adopt(std::move(fd), path));
  return file;
}

Result<Descriptor> NewFile::stage(Staging staging) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC;
  if (staging == Staging::unnamed && access("/proc/self/fd", X_OK) == 0) {
    Descriptor fd(openat(directory_.get(), ".", kFlags | O_TMPFILE, 0600));
    if (fd) return fd;
    if (!lacks_unnamed_files(errno)) return system_error(path_, "cannot create", errno);
  }
  const std::string name = ".platter-" + Uuid::random().to_string();
  Descriptor fd(openat(directory_.get(), name.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
  if (!fd) return system_error(path_, "cannot create", errno);
  temporary_ = name;
  return fd;
}

NewFile::NewFile(NewFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(other.fd_),
      file_(std::move(other.file_)) {}

NewFile::~NewFile() {
  if (!temporary_.empty()) unlinkat(directory_.get(), temporary_.c_str(), 0);
}

Result<void> NewFile::publish() {
  if (temporary_.empty()) {
    TRY(link_unnamed());
  } else {
    TRY(rename_temporary());
  }
  const Descriptor directory(
      openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY));
  // A directory that may be written but not read cannot be synced, and some filesystems have no
  // such thing.
  if (!directory || fsync(directory.get()) == 0 || errno == EINVAL) return {};
  return system_error(path_, "cannot sync its directory", errno);
}

void NewFile::withdraw() { unlinkat(directory_.get(), entry().c_str(), 0); }

Result<void> NewFile::link_unnamed() const {
  const std::string open_file = fmt::format("/proc/self/fd/{}", fd_);
  if (linkat(AT_FDCWD, open_file.c_str(), directory_.get(), entry().c_str(), AT_SYMLINK_FOLLOW) ==
      0) {
    return {};
  }
  if (errno == EEXIST) return exists_already(path_);
  return system_error(path_, "cannot create", errno);
}

Result<void> NewFile::rename_temporary() {
  const std::string name = entry();
  const int at = directory_.get();
  if (renameat2(at, temporary_.c_str(), at, name.c_str(), RENAME_NOREPLACE) == 0) {
    temporary_.clear();
    return {};
  }
  if (errno == EEXIST) return exists_already(path_);
  if (errno != EINVAL && errno != ENOSYS) return system_error(path_, "cannot create", errno);
  // A filesystem whose rename always replaces: the name is taken first, by an empty file of ours.
  const Descriptor placeholder(
      openat(at, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!placeholder && errno == EEXIST) return exists_already(path_);
  if (!placeholder) return system_error(path_, "cannot create", errno);
  if (renameat(at, temporary_.c_str(), at, name.c_str()) != 0) {
    const int error = errno;
    unlinkat(at, name.c_str(), 0);
    return system_error(path_, "cannot create", error);
  }
  temporary_.clear();
  return {};
}

}  // namespace platter
