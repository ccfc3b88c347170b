// ReadAhead: notices who reads a disk from front to back, and decodes what comes next.
#pragma once

#include <array>

#include "lib/base/sync.h"
#include "lib/container/view.h"

namespace platter {

// Of one disk. Thread safe; nothing is decoded under its lock.
class ReadAhead {
 public:
  // most: bytes that may lie decoded and unread before one reader.
  explicit ReadAhead(uint64_t most) : most_(most) {}

  // After range was read: what is to be decoded now, behind it and behind what earlier calls gave;
  // it may reach past the disk's end. Empty: nobody reads on there, or enough is ready. Each byte
  // is given once to one reader, so that several threads can work ahead of it.
  Range after(const Range& range) EXCLUDES(mutex_);

 private:
  struct Reader {
    uint64_t next = 0;    // bytes: where it goes on, if it does
    uint64_t ready = 0;   // bytes: up to where was given out; at least next
    uint64_t window = 0;  // bytes to keep ready; 0: it has read only once
  };
  static bool goes_on(const Reader& reader, const Range& range);

  const uint64_t most_;
  Mutex mutex_;
  std::array<Reader, 8> readers_ GUARDED_BY(mutex_);  // the latest first
};

// As many bytes as are worth it with this cache, on this machine.
uint64_t useful_read_ahead(const BlockCache& blocks);

// Decodes the compressed units in range into the view's cache, on the cores that are idle; throws
// nothing, and leaves errors to whoever reads there. Of a container that is written, in a
// Layout::Request.
void decode_ahead(const View& view, Range range);

}  // namespace platter
