// PosixFile: a File that is a file of the host.
#pragma once

#include <atomic>

#include "lib/base/sync.h"
#include "lib/io/file.h"

namespace platter {

// An open descriptor, closed when it goes.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// What a name may lead to.
enum class Links : unsigned char {
  follow,  // whatever the user named
  refuse,  // only a regular file that has this very name: who put it there is not the user
};

// Thread safe.
class PosixFile final : public File {
 public:
  // Opens what the user named: a regular file or a block device; FIFOs, sockets, character devices
  // and directories are refused without being opened.
  static Result<FilePtr> open(const std::string& path, Access access = Access::read,
                              Links links = Links::follow);
  // A new, empty, writable file of mode 0600; Errc::invalid when something has that name.
  static Result<FilePtr> create(const std::string& path);
  // Takes over a descriptor that is already known to be acceptable.
  static Result<FilePtr> adopt(Descriptor fd, std::string name);
  ~PosixFile() override;

  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override;
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> sync() override;
  Result<bool> make_zero(const Range& range, Zero how) override;
  Result<void> lock(LockMode mode) override { return lock_image(fd_.get(), name_, mode); }
  Result<Run> run_at(uint64_t offset) const override;
  void expect_sequential() const override;
  const std::byte* kernel_view(const Range& range) const override;

 private:
  PosixFile(Descriptor fd, std::string name, uint64_t device_size)
      : fd_(std::move(fd)), name_(std::move(name)), device_size_(device_size) {}
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override;
  Result<Run> find_run(uint64_t offset) const;
  // False: the file ends before, or cannot be mapped.
  bool map_up_to(uint64_t end) const EXCLUDES(map_mutex_);
  bool map_anew(uint64_t size) const REQUIRES(map_mutex_);

  // Constant after construction.
  Descriptor fd_;
  std::string name_;
  uint64_t device_size_;  // of a block device, whose stat says 0

  std::atomic<bool> sync_failed_{false};
  mutable Mutex run_mutex_;
  // The data run found last: some hosts (tmpfs) look at every page of a run to find its end. One
  // that has become a hole meanwhile still reads right, so nothing need be forgotten.
  mutable Range data_run_ GUARDED_BY(run_mutex_);

  // Where the file is mapped, at least as much as lent_ says, and more room where it may grow. A
  // later mapping holds what an earlier one does and is published before lent_ is raised; earlier
  // ones stay, since a reply may be using them.
  mutable std::atomic<const std::byte*> map_{nullptr};
  mutable std::atomic<uint64_t> lent_{0};  // bytes, inside the file when it was looked at
  mutable std::atomic<bool> mappable_{true};
  mutable Mutex map_mutex_;
  mutable uint64_t mapped_ GUARDED_BY(map_mutex_) = 0;  // bytes, of the last mapping
  // A look at a hole through the map makes a page of it there, and fails when the host is full.
  mutable std::atomic<bool> holes_take_space_{false};
};

// What went wrong with a system call on name: "disk.vdi: cannot open: Permission denied".
Error system_error(const std::string& name, const std::string& what, int error);

}  // namespace platter
