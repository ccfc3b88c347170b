#include "fusefs/notifier.h"

#include <utility>

namespace platter::fusefs {

void Notifier::start() {
  const MutexLock lock(mutex_);
  running_ = true;
  thread_ = std::thread([this] { run(); });
}

void Notifier::hand_over(Change change) {
  {
    const MutexLock lock(mutex_);
    if (running_) {
      waiting_.push_back(std::move(change));
      changed_.notify_one();
      return;
    }
  }
  change.reply();
}

void Notifier::stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    running_ = false;
    thread = std::move(thread_);
    changed_.notify_one();
  }
  if (thread.joinable()) thread.join();
}

void Notifier::run() {
  std::vector<Change> changes;
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (running_ && waiting_.empty()) changed_.wait(mutex_);
      if (waiting_.empty()) return;
      changes.swap(waiting_);
    }
    for (Change& change : changes) {
      // ENOENT: the kernel has no such inode in memory, and so no pages. Nothing else can be done
      // about a failure: the connection has ended.
      fuse_lowlevel_notify_inval_inode(session_, change.inode,
                                       static_cast<off_t>(change.range.offset),
                                       static_cast<off_t>(change.range.length));
      change.reply();
    }
    changes.clear();
  }
}

}  // namespace platter::fusefs
