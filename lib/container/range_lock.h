// RangeLock: who may change which guest bytes. Writers only; readers never wait here.
#pragma once

#include <list>

#include "lib/base/range.h"
#include "lib/base/sync.h"

namespace platter {

// First come, first served among those that overlap, so nobody starves. Thread safe; not recursive.
class RangeLock {
 public:
  enum class Mode : unsigned char {
    shared,     // bytes change where they are
    exclusive,  // where bytes are changes
  };

 private:
  struct Entry {
    Range range;
    Mode mode;
    bool conflicts(const Entry& other) const {
      return (mode == Mode::exclusive || other.mode == Mode::exclusive) &&
             !intersect(range, other.range).empty();
    }
  };
  using Queue = std::list<Entry>;  // held and waiting, in the order they came

 public:
  class Guard {
   public:
    Guard(RangeLock& lock, const Range& range, Mode mode)
        : lock_(lock), place_(lock.acquire(range, mode)) {}
    ~Guard() { lock_.release(place_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    RangeLock& lock_;
    Queue::iterator place_;
  };

 private:
  Queue::iterator acquire(const Range& range, Mode mode) EXCLUDES(mutex_);
  void release(Queue::iterator place) EXCLUDES(mutex_);
  bool must_wait(Queue::const_iterator place) const REQUIRES(mutex_);

  Mutex mutex_;
  CondVar released_;
  size_t waiting_ GUARDED_BY(mutex_) = 0;
  Queue queue_ GUARDED_BY(mutex_);
};

}  // namespace platter
