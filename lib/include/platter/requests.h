// Requests: what is asked of a disk now and done later, thousands at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <platter/export.h>
#include <platter/virtual_disk.h>

namespace platter {

// Requests are done in any order, several at once, but for flush: what was asked before one is
// durable when it is done. Memory that a request reads from or into stays where it is until the
// request is done.
//
// Thread safety: every method may be called at any time, also by a Done, but for wait(). The disk
// outlives this; of it nothing is called meanwhile that is to be called alone.
class PLATTER_API Requests {
 public:
  // Called once for each request, by some thread that holds no lock, with what the same call of
  // VirtualDisk would have given. It does not throw. Errc::cancelled: it never began.
  using Done = std::function<void(Result<void>)>;
  using Id = uint64_t;

  // threads: that do the requests, at least 1; 0: as many as keep a fast disk busy.
  explicit Requests(VirtualDisk& disk, unsigned threads = 0);
  // Returns when every request is done; what is asked meanwhile is cancelled.
  ~Requests();
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;

  Id read(uint64_t offset, std::span<std::byte> out, Done done);
  Id write(uint64_t offset, std::span<const std::byte> data, Done done);
  Id zero(ByteRange range, Done done);
  Id discard(ByteRange range, Done done);
  Id flush(Done done);

  // False: it has begun, or is done. True: its Done was called, by this thread, with
  // Errc::cancelled.
  bool cancel(Id id);

  // Lends a hand, and returns when nothing is left to do.
  void wait();

 private:
  class Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace platter
