// Notifier: keeps the kernel's copy of disk.raw true when its bytes change through a partition.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "fusefs/fuse_api.h"
#include "lib/base/range.h"
#include "lib/base/sync.h"

namespace platter::fusefs {

// The kernel caches disk.raw by itself and asks for partitions every time: the two are different
// inodes. Telling it to forget pages waits until requests on those pages are answered, so whoever
// answers requests must never do that: the thread here does, and answers the request it did it for.
// Thread safe.
class Notifier {
 public:
  // Bytes of the inode changed; reply answers the request that changed them.
  struct Change {
    fuse_ino_t inode = 0;
    Range range;
    std::function<void()> reply;
  };

  // session outlives it.
  explicit Notifier(fuse_session* session) : session_(session) {}
  ~Notifier() { stop(); }
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // Starts the thread. Before the first request is answered.
  void start();
  // Takes the change over; after stop() it is answered at once. No lock of the image's is held.
  void hand_over(Change change);
  // Returns when all changes are answered. While requests are still being served: the thread may
  // wait for one of them.
  void stop();

 private:
  void run();

  fuse_session* const session_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<Change> waiting_ GUARDED_BY(mutex_);
  bool running_ GUARDED_BY(mutex_) = false;
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace platter::fusefs
