#include "lib/io/posix_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/io/lent_maps.h"

namespace platter {
namespace {

constexpr uint64_t kLeastRoom = 64 * MiB;  // of a mapping, for a file that grows

Errc code_for(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Errc::not_found;
    case EACCES:
    case EPERM: return Errc::denied;
    case EROFS: return Errc::read_only;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Errc::no_space;
    case EEXIST: return Errc::invalid;
    default: return Errc::io;
  }
}

const char* kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    case S_IFLNK: return "a symbolic link";
    default: return "not a regular file";
  }
}

}  // namespace

Error system_error(const std::string& name, const std::string& what, int error) {
  return Error(code_for(error), fmt::format("{}: {}: {}", name, what, strerror(error)), error);
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Result<FilePtr> PosixFile::open(const std::string& path, Access access, Links links) {
  // O_PATH first: opening a FIFO or a tape drive is already an effect.
  const bool follow = links == Links::follow;
  const Descriptor handle(::open(path.c_str(), O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
  if (!handle) return system_error(path, "cannot open", errno);
  struct stat st = {};
  if (fstat(handle.get(), &st) != 0) return system_error(path, "cannot stat", errno);
  if (!S_ISREG(st.st_mode) && !(follow && S_ISBLK(st.st_mode))) {
    return Error(Errc::invalid,
                 fmt::format("{}: is {}, not a disk image", path, kind_of(st.st_mode)));
  }
  Descriptor fd(::open(fmt::format("/proc/self/fd/{}", handle.get()).c_str(),
                       (access == Access::write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error(path, "cannot open", errno);
  return adopt(std::move(fd), path);
}

Result<FilePtr> PosixFile::create(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return system_error(path, "cannot create", errno);
  return adopt(std::move(fd), path);
}

Result<FilePtr> PosixFile::adopt(Descriptor fd, std::string name) {
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) return system_error(name, "cannot stat", errno);
  uint64_t device_size = 0;
  if (S_ISBLK(st.st_mode) && ioctl(fd.get(), BLKGETSIZE64, &device_size) != 0) {
    return system_error(name, "cannot tell its size", errno);
  }
  return FilePtr(new PosixFile(std::move(fd), std::move(name), device_size));
}

PosixFile::~PosixFile() {
  if (map_.load() != nullptr) LentMaps::all().remove(fd_.get());
}

Result<FileStat> PosixFile::stat() const {
  struct stat st = {};
  if (fstat(fd_.get(), &st) != 0) return system_error(name_, "cannot stat", errno);
  const bool device = S_ISBLK(st.st_mode);
  return FileStat{.size = device ? device_size_ : static_cast<uint64_t>(st.st_size),
                  .allocated = device ? device_size_ : static_cast<uint64_t>(st.st_blocks) * 512,
                  .device = device ? st.st_rdev : st.st_dev,
                  .inode = device ? 0 : st.st_ino,
                  .mtime_ns = st.st_mtim.tv_sec * int64_t{1000000000} + st.st_mtim.tv_nsec,
                  .mode = st.st_mode & 07777U,
                  .uid = st.st_uid,
                  .gid = st.st_gid};
}

Result<size_t> PosixFile::read_some(uint64_t offset, MutableBytes out) const {
  if (offset >= kMaxOffset) return size_t{0};
  // pread(2) refuses what would end past the largest offset, file or no file.
  out = out.first(std::min<uint64_t>(out.size(), kMaxOffset - offset));
  for (;;) {
    const ssize_t n = pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return system_error(name_, fmt::format("cannot read at {}", offset), errno);
  }
}

Result<void> PosixFile::write(uint64_t offset, Bytes data) {
  if (!fits(offset, data.size(), kMaxOffset)) {
    return Error(Errc::no_space, fmt::format("{}: write past the largest offset", name_), EFBIG);
  }
  while (!data.empty()) {
    const ssize_t n = pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(name_, fmt::format("cannot write at {}", offset), errno);
    offset += static_cast<uint64_t>(n);
    data = data.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> PosixFile::resize(uint64_t size) {
  if (size > kMaxOffset) return system_error(name_, "cannot resize", EFBIG);
  if (device_size_ != 0) {
    if (size == device_size_) return {};
    return Error(Errc::unsupported, name_ + ": a block device has the size it has");
  }
  if (ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
    return system_error(name_, fmt::format("cannot resize to {} bytes", size), errno);
  }
  const MutexLock lock(run_mutex_);
  data_run_ = {};
  return {};
}

Result<void> PosixFile::sync() {
  if (sync_failed_ || fdatasync(fd_.get()) != 0) {
    const int error = sync_failed_.exchange(true) ? EIO : errno;
    return system_error(name_, "cannot sync", error);
  }
  return {};
}

Result<bool> PosixFile::make_zero(const Range& range, Zero how) {
  // A device need not read zeroes after a discard; a file does.
  if (device_size_ != 0) return false;
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const int mode = how == Zero::free_space ? punch : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  while (fallocate(fd_.get(), mode, static_cast<off_t>(range.offset),
                   static_cast<off_t>(range.length)) != 0) {
    if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
    if (errno != EINTR) {
      return system_error(name_, fmt::format("cannot zero at {}", range.offset), errno);
    }
  }
  // SEEK_DATA finds the hole from now on.
  const MutexLock lock(run_mutex_);
  data_run_ = {};
  return true;
}

Result<File::Run> PosixFile::run_at(uint64_t offset) const {
  {
    const MutexLock lock(run_mutex_);
    if (data_run_.contains(offset)) return Run{data_run_, true};
  }
  const Run run = TRY(find_run(offset));
  if (run.data) {
    const MutexLock lock(run_mutex_);
    data_run_ = run.range;
  }
  return run;
}

Result<File::Run> PosixFile::find_run(uint64_t offset) const {
  const uint64_t size = TRY(stat()).size;
  if (offset >= size) return past_the_end(offset);
  const off_t data = lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) return Run{{offset, size - offset}, false};
  if (data < 0) return Run{{0, size}, true};  // a filesystem or device that cannot tell
  if (static_cast<uint64_t>(data) > offset) {
    return Run{{offset, std::min(size, static_cast<uint64_t>(data)) - offset}, false};
  }
  const off_t hole = lseek(fd_.get(), static_cast<off_t>(offset), SEEK_HOLE);
  // Somebody else may punch one right here between the two calls: then it was data a moment ago.
  const uint64_t end = hole <= data ? size : std::min(size, static_cast<uint64_t>(hole));
  return Run{{offset, end - offset}, true};
}

bool PosixFile::map_anew(uint64_t size) const {
  // Address space costs nothing until it is touched; a file that grows is mapped a few times only.
  const uint64_t room = std::max(size / 4, kLeastRoom);
  struct statfs host = {};
  holes_take_space_ = fstatfs(fd_.get(), &host) == 0 && host.f_type == TMPFS_MAGIC;
  for (const uint64_t length : {size + room, size}) {
    void* const address = mmap(nullptr, length, PROT_READ, MAP_SHARED, fd_.get(), 0);
    if (address == MAP_FAILED) continue;
    LentMaps::all().add(static_cast<std::byte*>(address), length, fd_.get());
    mapped_ = length;
    map_.store(static_cast<std::byte*>(address));
    return true;
  }
  mappable_ = false;
  return false;
}

bool PosixFile::map_up_to(uint64_t end) const {
  const MutexLock lock(map_mutex_);
  if (end <= lent_.load()) return true;
  const Result<FileStat> st = stat();
  if (!st || end > st->size) return false;
  if (st->size > mapped_ && !map_anew(st->size)) return false;
  lent_.store(st->size);
  return true;
}

// A hint: where the host has no use for it there is nothing to tell.
void PosixFile::expect_sequential() const {
  (void)posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
}

const std::byte* PosixFile::kernel_view(const Range& range) const {
  if (range.empty() || !fits(range.offset, range.length, kMaxOffset)) return nullptr;
  if (range.end() > lent_.load() && !(mappable_ && map_up_to(range.end()))) return nullptr;
  if (holes_take_space_) {
    const Result<Run> run = run_at(range.offset);
    if (!run || !run->data || !run->range.contains(range)) return nullptr;
  }
  LentMaps::all().lend();
  return map_.load() + range.offset;
}

}  // namespace platter
