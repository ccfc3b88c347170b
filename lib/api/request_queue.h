// Requests::Queue: which requests wait, which run, and which flush waits for them.
#pragma once

#include <platter/requests.h>

#include <deque>
#include <optional>
#include <thread>
#include <vector>

#include "lib/base/sync.h"

namespace platter {

// Thread safe.
class __attribute__((visibility("hidden"))) Requests::Queue {
 public:
  enum class What : unsigned char { read, write, zero, discard, flush };
  struct Request {
    What what = What::read;
    uint64_t offset = 0, length = 0;  // bytes
    std::byte* into = nullptr;        // of a read
    const std::byte* from = nullptr;  // of a write
    Done done = {};
    Id id = 0;
    uint64_t generation = 0;  // of a change: the flush that waits for it
    bool cancelled = false;   // done already: left out when its turn comes
  };

  Queue(VirtualDisk& disk, unsigned threads);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  Id add(Request request) EXCLUDES(mutex_);
  bool cancel(Id id) EXCLUDES(mutex_);
  void wait() EXCLUDES(mutex_);

 private:
  // The changes between two flushes.
  struct Generation {
    uint64_t unfinished = 0;       // changes
    std::optional<Request> flush;  // that waits for them, and for those before
  };

  void serve() EXCLUDES(mutex_);
  void add_flush(Request request) REQUIRES(mutex_);
  void put(Request request) REQUIRES(mutex_);
  // The next request that is not cancelled; none: nothing waits for a thread.
  std::optional<Request> take() REQUIRES(mutex_);
  Result<void> perform(const Request& request);
  // Performs it and tells; mutex_ is given up meanwhile.
  void run(Request request) REQUIRES(mutex_);
  void finish(What what, uint64_t generation) REQUIRES(mutex_);
  // Flushes that nothing has to be waited for any more come to the queue.
  void release_flushes() REQUIRES(mutex_);

  VirtualDisk& disk_;
  Mutex mutex_;
  CondVar work_;  // queue_ has something, or stopped_
  CondVar idle_;  // unfinished_ is 0
  std::deque<Request> queue_ GUARDED_BY(mutex_);
  // From the oldest whose flush waits to the one that is being filled; the number of the first.
  std::deque<Generation> generations_ GUARDED_BY(mutex_) = std::deque<Generation>(1);
  uint64_t first_generation_ GUARDED_BY(mutex_) = 0;
  uint64_t unfinished_ GUARDED_BY(mutex_) = 0;  // requests, of every kind
  Id last_id_ GUARDED_BY(mutex_) = 0;
  unsigned sleeping_ GUARDED_BY(mutex_) = 0;  // threads that wait for work_
  bool stopped_ GUARDED_BY(mutex_) = false;   // the threads end
  bool closing_ GUARDED_BY(mutex_) = false;   // nothing new is taken
  std::vector<std::thread> threads_;
};

}  // namespace platter
