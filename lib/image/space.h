// Space: which blocks of an image file are free, and when a freed one may be used again.
#pragma once

#include <deque>
#include <set>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/image/epochs.h"

namespace platter {

// Hands out block numbers of an image file: freed ones first, else at the end. A freed block goes
// through quarantine: it is free only when the flush that dropped the last pointer to it on disk
// has finished, and every request that began before that flush ended has been answered. Thread
// safe.
class Space {
 public:
  // end: blocks in the file at open, all of them taken; limit: blocks it can ever have.
  Space(uint64_t end, uint64_t limit, Epochs& epochs) : limit_(limit), epochs_(epochs), end_(end) {}

  Result<uint64_t> take();
  // Was taken and never pointed at.
  void give_back(uint64_t block);
  // The pointer to it was dropped in memory.
  void dropped(uint64_t block);

  // Around a flush: what was dropped before it, and that the drop is durable (or failed to be).
  using Batch = std::vector<uint64_t>;
  Batch take_dropped();
  void drop_is_durable(Batch batch);
  void put_back(Batch batch);

  // Blocks up to here have been handed out at some time.
  uint64_t end() const;

 private:
  void release_quarantine() REQUIRES(mutex_);

  const uint64_t limit_;
  Epochs& epochs_;
  mutable Mutex mutex_;
  uint64_t end_ GUARDED_BY(mutex_);
  std::set<uint64_t> free_ GUARDED_BY(mutex_);
  Batch dropped_ GUARDED_BY(mutex_);
  struct Waiting {
    uint64_t moment;
    Batch blocks;
  };
  std::deque<Waiting> quarantine_ GUARDED_BY(mutex_);
};

}  // namespace platter
