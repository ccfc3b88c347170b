// File: a flat, randomly accessible run of bytes on the host side.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/endian.h"
#include "lib/base/range.h"
#include "lib/base/result.h"
#include "lib/io/image_lock.h"

namespace platter {

struct FileStat {
  uint64_t size = 0;               // bytes
  uint64_t allocated = 0;          // bytes the host really keeps
  uint64_t device = 0, inode = 0;  // the file's identity; 0, 0 when it has none
  uint64_t start = 0;              // of a part of it, where that begins
  int64_t mtime_ns = 0;
  uint32_t mode = 0;  // permission bits
  uint32_t uid = 0, gid = 0;

  bool same_file(const FileStat& other) const {
    return device == other.device && inode == other.inode && start == other.start;
  }
};

// Thread safety: every method may be called by several threads at once; there is no cursor.
// Implementations: PosixFile, MemoryFile, WindowFile (a part of another), and the tests' own.
class File {
 public:
  virtual ~File() = default;

  virtual const std::string& name() const = 0;  // for messages only
  virtual Result<FileStat> stat() const = 0;

  // Past the end: Errc::corrupt ("truncated").
  Result<void> read_exact(uint64_t offset, MutableBytes out) const;
  // Past the end: zeroes.
  Result<void> read_padded(uint64_t offset, MutableBytes out) const;
  // As many bytes as there are, at most out.size(); fewer only at the end of the file.
  Result<size_t> read_available(uint64_t offset, MutableBytes out) const;

  template <DiskStruct T>
  Result<T> read_struct(uint64_t offset) const {
    T value;
    TRY(read_exact(offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

  // Grows the file when it ends before; not durable before sync().
  virtual Result<void> write(uint64_t offset, Bytes data) = 0;
  virtual Result<void> resize(uint64_t size) = 0;
  // After one failure every later call fails too: the kernel forgets what it could not write.
  virtual Result<void> sync() = 0;

  // The range reads as zeroes from now on (not durable before sync()), and the host keeps or frees
  // the space. False: the host cannot do that here, nothing changed, write zeroes instead.
  enum class Zero : unsigned char { keep_space, free_space };
  virtual Result<bool> make_zero(const Range& /*range*/, Zero /*how*/) { return false; }

  // The run of equal kind that holds offset. "All data" is a legal answer; the run may begin before
  // offset and ends inside the file. Errc::corrupt when the file ends at or before offset.
  struct Run {
    Range range;
    bool data = true;
  };
  virtual Result<Run> run_at(uint64_t offset) const;

  // Keeps other programs from changing the image (or, to write it, from using it) while the file is
  // open: image_lock.h. Files without an outside world need none.
  virtual Result<void> lock(LockMode /*mode*/) { return {}; }

  // It will be read from front to back.
  virtual void expect_sequential() const {}

  // Where the kernel may copy these bytes from, or null. Only for handing to a system call: the
  // file may shrink under it, and then a touch of our own would be a SIGBUS.
  virtual const std::byte* kernel_view(const Range& /*range*/) const { return nullptr; }

 protected:
  // What run_at says of an offset that is not inside the file.
  Error past_the_end(uint64_t offset) const;

 private:
  // At least one byte unless offset is at or past the end; out is not empty.
  virtual Result<size_t> read_some(uint64_t offset, MutableBytes out) const = 0;
};

using FilePtr = std::shared_ptr<File>;

enum class Access : unsigned char { read, write };  // write: read too

}  // namespace platter
