#include "lib/image/epochs.h"

#include <algorithm>

namespace platter {

std::atomic<uint64_t>& Epochs::enter() {
  static std::atomic<size_t> next_thread{0};
  thread_local const size_t slot = next_thread++ % kSlots;
  for (;;) {
    const uint64_t epoch = epoch_.load();
    if ((epoch & kClosed) != 0) {
      wait_until_open();
      continue;
    }
    std::atomic<uint64_t>& count = slots_[slot].active[epoch % 2];
    count.fetch_add(1);
    // Counted in an epoch that is still the current one, and open: whoever advances or closes it
    // will see it.
    if (epoch_.load() == epoch) return count;
    leave(count);
  }
}

bool Epochs::none_active(uint64_t epoch) const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [=](const Slot& slot) { return slot.active[epoch % 2].load() == 0; });
}

bool Epochs::passed(uint64_t moment) {
  // Two steps on, nobody is left who began in the epoch of that moment or before.
  const MutexLock lock(mutex_);
  while (now() < moment + 2) {
    const uint64_t epoch = epoch_.load();
    if (!none_active(epoch + 1)) return false;
    epoch_.store(epoch + 1);
  }
  return true;
}

// Whoever closed it looks at the counters and waits under the mutex: behind it, it sees them or
// hears this.
void Epochs::wake() {
  { const MutexLock lock(mutex_); }
  changed_.notify_all();
}

void Epochs::wait_until_open() {
  const MutexLock lock(mutex_);
  while ((epoch_.load() & kClosed) != 0) changed_.wait(mutex_);
}

void Epochs::close() {
  const MutexLock lock(mutex_);
  while ((epoch_.load() & kClosed) != 0) changed_.wait(mutex_);
  epoch_.fetch_or(kClosed);
  while (!none_active(0) || !none_active(1)) changed_.wait(mutex_);
}

void Epochs::open() {
  {
    const MutexLock lock(mutex_);
    epoch_.fetch_and(~kClosed);
  }
  changed_.notify_all();
}

}  // namespace platter
