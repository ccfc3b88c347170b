#include "lib/ops/image_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

namespace platter {
namespace {

std::string directory_with(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

Result<void> unlink_file(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return system_error(path, "cannot delete", errno);
  }
  return sync_directory(path);
}

// The file itself, and the link that leads there if its name is one.
Result<void> remove_file(const std::string& name, const FileStat& expected) {
  char* const resolved = realpath(name.c_str(), nullptr);
  if (resolved == nullptr) {
    return errno == ENOENT ? Result<void>() : system_error(name, "cannot delete", errno);
  }
  const std::string path = resolved;
  free(resolved);
  struct stat st = {};
  if (lstat(path.c_str(), &st) != 0) return system_error(name, "cannot delete", errno);
  if (!S_ISREG(st.st_mode)) return {};
  if (st.st_dev != expected.device || st.st_ino != expected.inode) {
    return Error(Errc::busy, fmt::format("{}: is another file by now; it is not deleted", name));
  }
  TRY(unlink_file(path));
  const bool link = lstat(name.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
  return link ? unlink_file(name) : Result<void>();
}

}  // namespace

Result<void> sync_directory(const std::string& path) {
  const Descriptor directory(
      open(directory_with(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY));
  // Some filesystems have no such thing, and some directories may not be read.
  if (!directory || fsync(directory.get()) == 0 || errno == EINVAL) return {};
  return system_error(path, "cannot sync its directory", errno);
}

Result<ImageFiles> ImageFiles::of(const ChainLayer& layer) {
  ImageFiles image(layer.path, *layer.format);
  for (const FilePtr& file : layer.image->files()) {
    image.files_.push_back({file->name(), TRY(file->stat()), nullptr});
  }
  return image;
}

bool ImageFiles::has(const FileStat& file) const {
  return std::ranges::any_of(files_, [&](const Own& own) { return own.stat.same_file(file); });
}

bool ImageFiles::shares_a_file_with(const ImageFiles& other) const {
  return std::ranges::any_of(files_, [&](const Own& own) { return other.has(own.stat); });
}

Result<void> ImageFiles::lock() {
  for (Own& own : files_) {
    own.locked = TRY(PosixFile::open(own.name, Access::write));
    if (!own.stat.same_file(TRY(own.locked->stat()))) {
      return Error(Errc::busy, fmt::format("{}: has just been replaced", own.name));
    }
    TRY(own.locked->lock(LockMode::write));
  }
  return {};
}

Result<void> ImageFiles::remove() const {
  for (const Own& own : files_) TRY(remove_file(own.name, own.stat));
  return {};
}

}  // namespace platter
