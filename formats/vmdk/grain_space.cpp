#include "formats/vmdk/grain_space.h"

#include <algorithm>

#include "formats/vmdk/layout.h"
#include "lib/base/checked.h"

namespace platter::vmdk {
namespace {

// Entries of tables have 32 bits for a sector.
constexpr uint64_t kSectors = uint64_t{1} << 32;
constexpr size_t kMany = 64 * KiB;

}  // namespace

void GrainSpace::start(std::vector<bool> used) {
  const MutexLock lock(mutex_);
  used_ = std::move(used);
  next_ = 0;
}

Result<GrainSpace::Taken> GrainSpace::append_locked(uint64_t count) {
  const uint64_t first = used_.size();
  const uint64_t most = kSectors / (grain_ / kSector);
  if (!fits(first, count, most)) {
    return Error(Errc::no_space, "the extent's file cannot hold any more grains");
  }
  used_.resize(first + count, true);
  // A file that cannot be made longer says why when it is written to.
  const bool grown = bool{file_->resize((first + count) * grain_)};
  return Taken{first, count, grown};
}

Result<GrainSpace::Taken> GrainSpace::append(uint64_t count) {
  const MutexLock lock(mutex_);
  return append_locked(count);
}

Result<GrainSpace::Taken> GrainSpace::take(uint64_t most) {
  const MutexLock lock(mutex_);
  while (next_ < used_.size() && used_[next_]) ++next_;
  if (next_ == used_.size()) {
    const uint64_t left = kSectors / (grain_ / kSector) - std::min(used_.size(), kSectors);
    return append_locked(std::clamp<uint64_t>(most, 1, std::max<uint64_t>(left, 1)));
  }
  Taken taken{next_, 0};
  while (taken.count < most && next_ < used_.size() && !used_[next_]) {
    used_[next_++] = true;
    ++taken.count;
  }
  return taken;
}

void GrainSpace::give_back(uint64_t first, uint64_t count) {
  const MutexLock lock(mutex_);
  for (uint64_t block = first; block < first + count; ++block) used_[block] = false;
  next_ = std::min(next_, first);
}

void GrainSpace::dropped(uint64_t first, uint64_t count) {
  const MutexLock lock(mutex_);
  for (uint64_t block = first; block < first + count; ++block) dropped_.push_back(block);
}

GrainSpace::Batch GrainSpace::take_dropped() {
  const MutexLock lock(mutex_);
  return std::exchange(dropped_, {});
}

void GrainSpace::put_back(const Batch& batch) {
  const MutexLock lock(mutex_);
  dropped_.insert(dropped_.end(), batch.begin(), batch.end());
}

void GrainSpace::drop_is_durable(Batch batch) {
  if (batch.empty()) return;
  const MutexLock lock(mutex_);
  quarantine_.push_back({epochs_.now(), std::move(batch)});
}

void GrainSpace::release() {
  const Batch free = end_quarantine();
  punch(free);
  const MutexLock lock(mutex_);
  for (const uint64_t block : free) {
    used_[block] = false;
    next_ = std::min(next_, block);
  }
}

bool GrainSpace::many_dropped() const {
  const MutexLock lock(mutex_);
  return dropped_.size() > kMany;
}

GrainSpace::Batch GrainSpace::end_quarantine() {
  const MutexLock lock(mutex_);
  Batch ended;
  while (!quarantine_.empty() && epochs_.passed(quarantine_.front().moment)) {
    const Batch& blocks = quarantine_.front().blocks;
    ended.insert(ended.end(), blocks.begin(), blocks.end());
    quarantine_.pop_front();
  }
  std::sort(ended.begin(), ended.end());
  return ended;
}

// That space is not given back to the host is no error.
void GrainSpace::punch(const Batch& blocks) {
  for (size_t i = 0; i < blocks.size();) {
    Range run{blocks[i] * grain_, 0};
    for (; i < blocks.size() && blocks[i] * grain_ == run.end(); ++i) run.length += grain_;
    if (!file_->make_zero(run, File::Zero::free_space)) return;
  }
}

}  // namespace platter::vmdk
