#include "lib/container/range_lock.h"

namespace platter {

bool RangeLock::must_wait(Queue::const_iterator place) const {
  for (auto earlier = queue_.begin(); earlier != place; ++earlier) {
    if (earlier->conflicts(*place)) return true;
  }
  return false;
}

RangeLock::Queue::iterator RangeLock::acquire(const Range& range, Mode mode) {
  const MutexLock lock(mutex_);
  const auto place = queue_.insert(queue_.end(), Entry{range, mode});
  while (must_wait(place)) {
    ++waiting_;
    released_.wait(mutex_);
    --waiting_;
  }
  return place;
}

void RangeLock::release(Queue::iterator place) {
  const MutexLock lock(mutex_);
  queue_.erase(place);
  if (waiting_ != 0) released_.notify_all();
}

}  // namespace platter
