// DiscardMemory: which sectors of a block were discarded, until the whole block is.
#pragma once

#include <atomic>
#include <list>
#include <unordered_map>
#include <vector>

#include "lib/base/range.h"
#include "lib/base/sync.h"

namespace platter {

// Guests discard in pieces smaller than a block; the space can go only when all of it is dead. The
// pieces read as zeroes at once: what is remembered here may be forgotten at any time. Thread safe.
class DiscardMemory {
 public:
  static constexpr uint64_t kSector = 512;

  // capacity: bytes; the block touched longest ago is forgotten first.
  DiscardMemory(uint64_t block_size, uint64_t disk_size, uint64_t capacity = 10 * MiB);

  // range was discarded and lies in one block. True: all of that block is dead now, and it is
  // forgotten here.
  bool discarded(const Range& range);
  // range is alive again.
  void written(const Range& range);
  // The disk is another one.
  void forget_all();
  // The disk has so many bytes now: what was known of blocks it ends in, or ended in, is forgotten.
  void resized(uint64_t disk_size);

 private:
  struct Block {
    std::vector<bool> dead;
    uint64_t left = 0;  // sectors alive
    std::list<uint64_t>::iterator place;
  };

  Block& block_at(uint64_t index) REQUIRES(mutex_);
  void forget(uint64_t index) REQUIRES(mutex_);
  Range sectors_of(const Range& range, uint64_t index) const REQUIRES(mutex_);

  const uint64_t block_size_, max_blocks_;
  std::atomic<size_t> count_{0};  // blocks_.size(), readable without the lock
  Mutex mutex_;
  uint64_t disk_size_ GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, Block> blocks_ GUARDED_BY(mutex_);
  std::list<uint64_t> recent_ GUARDED_BY(mutex_);
};

}  // namespace platter
