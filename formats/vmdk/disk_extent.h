// DiskExtent: what one extent line of a descriptor names, a part of the disk. Each kind of extent
// is a class of its own in files of its own; open_extents.cpp is the one place that knows them all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/image/image.h"

namespace platter::vmdk {

// Offsets of guest bytes count from the start of the extent. Thread safe, by the rules of Image,
// whose calls these are: their contracts are the same where nothing else is said.
class DiskExtent {
 public:
  // size: bytes of the disk in it, whatever its file could hold.
  explicit DiskExtent(uint64_t size) : size_(size) {}
  virtual ~DiskExtent() = default;

  uint64_t size() const { return size_; }

  virtual Result<Extent> map(const Range& want) const = 0;
  // The unit in which it allocates, bytes, a power of two; 0: it has none.
  virtual uint64_t grain_size() const { return 0; }
  // The file it lies in; null: none.
  virtual FilePtr file() const { return nullptr; }
  // What is to be said of it beyond its line: "grains of 64 KiB, unclean".
  virtual std::string description() const { return {}; }
  virtual std::vector<std::string> warnings() const { return {}; }
  // Who wrote it last did not close it.
  virtual bool unclean() const { return false; }

  // What follows is for an extent that can be written.

  // Why it can only be read, if so: asked when the disk is opened for writing.
  virtual Result<void> expect_writable() const {
    return Error(Errc::unsupported, "extents of this kind are only read");
  }
  // Before the first change of a session. Errc::corrupt when a change could hurt what is there.
  virtual Result<void> begin_writing() { return expect_writable(); }
  // Only within the extent, but for its last grain.
  virtual Result<Reservation> reserve(const Range& /*want*/) { return only_read(); }
  virtual Result<void> publish(const Reservation& /*reservation*/) { return only_read(); }
  virtual void abandon(const Reservation& /*reservation*/) noexcept {}
  virtual Result<Range> make_zero(const Range& /*want*/, File::Zero /*how*/) { return only_read(); }
  // Of its file alone.
  virtual Result<void> flush(bool /*wrote_data*/) { return {}; }
  virtual bool wants_flush() const { return false; }
  // Makes room for so many bytes of the disk, which read as zeroes whatever a parent has there.
  // size() and what the descriptor says stay, so that a crash leaves the old extent. Durable; what
  // follows is close() and reopened().
  virtual Result<void> grow(uint64_t /*size*/) { return only_read(); }
  // Nothing is changed any more.
  virtual void close() noexcept {}
  // As the file is now, with so many bytes of the disk.
  virtual Result<std::unique_ptr<DiskExtent>> reopened(uint64_t /*size*/) { return only_read(); }

  // As Image::compact(). Where every byte has its place there is nothing to give back.
  virtual Result<void> compact(Progress& /*progress*/) { return {}; }

  // Without rules of its own there is nothing to check.
  virtual Result<void> check(Repair /*how*/, CheckReport& /*report*/) { return {}; }

 protected:
  Error only_read() const { return Error(Errc::read_only, "the extent is only read"); }

 private:
  const uint64_t size_;
};

}  // namespace platter::vmdk
