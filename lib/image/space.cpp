#include "lib/image/space.h"

namespace platter {

void Space::release_quarantine() {
  while (!quarantine_.empty() && epochs_.passed(quarantine_.front().moment)) {
    free_.insert(quarantine_.front().blocks.begin(), quarantine_.front().blocks.end());
    quarantine_.pop_front();
  }
}

Result<uint64_t> Space::take() {
  const MutexLock lock(mutex_);
  release_quarantine();
  if (!free_.empty()) return free_.extract(free_.begin()).value();
  if (end_ >= limit_) return Error(Errc::no_space, "the image cannot hold more blocks");
  return end_++;
}

void Space::give_back(uint64_t block) {
  const MutexLock lock(mutex_);
  free_.insert(block);
}

void Space::dropped(uint64_t block) {
  const MutexLock lock(mutex_);
  dropped_.push_back(block);
}

Space::Batch Space::take_dropped() {
  const MutexLock lock(mutex_);
  return std::exchange(dropped_, {});
}

void Space::drop_is_durable(Batch batch) {
  if (batch.empty()) return;
  const MutexLock lock(mutex_);
  quarantine_.push_back({epochs_.now(), std::move(batch)});
}

void Space::put_back(Batch batch) {
  const MutexLock lock(mutex_);
  dropped_.insert(dropped_.end(), batch.begin(), batch.end());
}

uint64_t Space::end() const {
  const MutexLock lock(mutex_);
  return end_;
}

}  // namespace platter
