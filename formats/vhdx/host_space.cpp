#include "formats/vhdx/host_space.h"

namespace platter::vhdx {

void HostSpace::start(const UnitsInUse& in_use, uint64_t file_size) {
  const MutexLock lock(mutex_);
  end_ = file_size;
  free_.clear();
  uint64_t length = 0;  // of the gap so far
  for (uint64_t at = 0; at < file_size; at += kUnit) {
    length = in_use.contains(at / kUnit) ? 0 : length + kUnit;
    if (length < block_size_) continue;
    free_.emplace(at + kUnit - block_size_, false);
    length = 0;
  }
}

Result<HostSpace::Place> HostSpace::take(bool zeroed) {
  std::optional<Place> found;
  {
    const MutexLock lock(mutex_);
    if (!free_.empty()) {
      const auto node = free_.extract(free_.begin());
      found = Place{node.key(), node.mapped()};
    }
  }
  if (!found) return Place{TRY(append(block_size_)), true};
  if (zeroed && !found->zeroed) found->zeroed = make_zero(found->at, File::Zero::free_space);
  return *found;
}

Result<uint64_t> HostSpace::append(uint64_t length) {
  const MutexLock lock(mutex_);
  const uint64_t at = end_;
  TRY(file_->resize(at + length));
  end_ = at + length;
  return at;
}

bool HostSpace::make_zero(uint64_t at, File::Zero how) const {
  const auto done = file_->make_zero({at, block_size_}, how);
  return done && *done;
}

void HostSpace::give_back(uint64_t at) {
  const MutexLock lock(mutex_);
  free_.emplace(at, false);
}

void HostSpace::dropped(uint64_t at) {
  const MutexLock lock(mutex_);
  dropped_.push_back(at);
}

bool HostSpace::any_dropped() const {
  const MutexLock lock(mutex_);
  return !dropped_.empty();
}

HostSpace::Batch HostSpace::take_dropped() {
  const MutexLock lock(mutex_);
  return std::exchange(dropped_, {});
}

void HostSpace::put_back(const Batch& batch) {
  const MutexLock lock(mutex_);
  dropped_.insert(dropped_.end(), batch.begin(), batch.end());
}

HostSpace::Batch HostSpace::end_quarantine() {
  const MutexLock lock(mutex_);
  Batch places;
  while (!quarantine_.empty() && epochs_.passed(quarantine_.front().moment)) {
    const Batch& front = quarantine_.front().places;
    places.insert(places.end(), front.begin(), front.end());
    quarantine_.pop_front();
  }
  return places;
}

void HostSpace::drop_is_durable(Batch batch) {
  if (!batch.empty()) {
    const MutexLock lock(mutex_);
    quarantine_.push_back({epochs_.now(), std::move(batch)});
  }
  for (const uint64_t at : end_quarantine()) {
    const bool zeroed = make_zero(at, File::Zero::free_space);
    const MutexLock lock(mutex_);
    free_.emplace(at, zeroed);
  }
}

uint64_t HostSpace::file_end() const {
  const MutexLock lock(mutex_);
  return end_;
}

}  // namespace platter::vhdx
