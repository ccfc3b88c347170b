#include "lib/image/epochs.h"

namespace platter {

uint64_t Epochs::enter() {
  for (;;) {
    const uint64_t epoch = epoch_.load();
    active_[epoch % 2].count.fetch_add(1);
    // Counted in an epoch that is still the current one: whoever advances will see it.
    if (epoch_.load() == epoch) return epoch;
    active_[epoch % 2].count.fetch_sub(1);
  }
}

bool Epochs::passed(uint64_t moment) {
  // Two steps on, nobody is left who began in the epoch of that moment or before.
  const MutexLock lock(advance_);
  while (epoch_.load() < moment + 2) {
    const uint64_t epoch = epoch_.load();
    if (active_[(epoch + 1) % 2].count.load() != 0) return false;
    epoch_.store(epoch + 1);
  }
  return true;
}

}  // namespace platter
