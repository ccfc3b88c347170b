#include "lib/container/discard_memory.h"

#include <cassert>

#include "lib/base/checked.h"

namespace platter {

DiscardMemory::DiscardMemory(uint64_t block_size, uint64_t disk_size, uint64_t capacity)
    : block_size_(std::max(block_size, kSector)),
      // A bit a sector, and what the containers around it cost.
      max_blocks_(std::max<uint64_t>(1, capacity / (block_size_ / kSector / 8 + 128))),
      disk_size_(disk_size) {}

// The whole sectors of range in block index, numbered from the start of the block.
Range DiscardMemory::sectors_of(const Range& range, uint64_t index) const {
  const uint64_t start = index * block_size_;
  const uint64_t last = std::min(block_size_, disk_size_ - start);
  const uint64_t from = div_up(range.offset - start, kSector);
  // A sector cut by the disk's end is whole.
  const uint64_t end = range.end() - start;
  const uint64_t to = end == last ? div_up(end, kSector) : end / kSector;
  return {from, to > from ? to - from : 0};
}

DiscardMemory::Block& DiscardMemory::block_at(uint64_t index) {
  const auto found = blocks_.find(index);
  if (found != blocks_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second.place);
    return found->second;
  }
  if (blocks_.size() >= max_blocks_) forget(recent_.back());
  const uint64_t length = std::min(block_size_, disk_size_ - index * block_size_);
  recent_.push_front(index);
  const uint64_t sectors = div_up(length, kSector);
  Block& block = blocks_[index];
  block = {std::vector<bool>(sectors), sectors, recent_.begin()};
  count_.store(blocks_.size());
  return block;
}

void DiscardMemory::forget(uint64_t index) {
  const auto found = blocks_.find(index);
  recent_.erase(found->second.place);
  blocks_.erase(found);
  count_.store(blocks_.size());
}

bool DiscardMemory::discarded(const Range& range) {
  const MutexLock lock(mutex_);
  const uint64_t index = range.offset / block_size_;
  assert(range.length <= block_size_ - range.offset % block_size_);
  Block& block = block_at(index);
  const Range sectors = sectors_of(range, index);
  for (uint64_t i = sectors.offset; i < sectors.end(); ++i) {
    if (!block.dead[i]) --block.left;
    block.dead[i] = true;
  }
  if (block.left != 0) return false;
  forget(index);
  return true;
}

void DiscardMemory::resized(uint64_t disk_size) {
  const MutexLock lock(mutex_);
  const uint64_t first = std::min(disk_size, disk_size_) / block_size_;
  disk_size_ = disk_size;
  const std::vector<uint64_t> known(recent_.begin(), recent_.end());
  for (const uint64_t index : known) {
    if (index >= first) forget(index);
  }
}

void DiscardMemory::forget_all() {
  const MutexLock lock(mutex_);
  while (!recent_.empty()) forget(recent_.front());
}

void DiscardMemory::written(const Range& range) {
  if (count_.load() == 0 || range.empty()) return;
  const MutexLock lock(mutex_);
  const uint64_t last = (range.end() - 1) / block_size_;
  for (uint64_t index = range.offset / block_size_; index <= last; ++index) {
    const auto found = blocks_.find(index);
    if (found == blocks_.end()) continue;
    Block& block = found->second;
    const Range part = intersect(range, {index * block_size_, block_size_});
    const uint64_t from = (part.offset - index * block_size_) / kSector;
    const uint64_t to = div_up(part.end() - index * block_size_, kSector);
    for (uint64_t i = from; i < to; ++i) {
      if (block.dead[i]) ++block.left;
      block.dead[i] = false;
    }
  }
}

}  // namespace platter
