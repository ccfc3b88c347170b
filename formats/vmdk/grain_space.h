// GrainSpace: which parts of an extent's file are free, in blocks of a grain's size.
#pragma once

#include <deque>
#include <vector>

#include "lib/base/sync.h"
#include "lib/image/epochs.h"
#include "lib/io/file.h"

namespace platter::vmdk {

// Hands out the lowest free blocks, else new ones at the end of the file. A block that was freed is
// free only when the flush that dropped the last pointer to it on disk has finished, and every
// request that began before that has been answered; its bytes are given back to the host then.
// Thread safe.
class GrainSpace {
 public:
  GrainSpace(FilePtr file, uint64_t grain, Epochs& epochs)
      : file_(std::move(file)), grain_(grain), epochs_(epochs) {}

  // used: all blocks of the file, which ends with the last of them.
  void start(std::vector<bool> used) EXCLUDES(mutex_);

  struct Taken {
    uint64_t first = 0, count = 0;  // blocks
    bool zeroed = false;            // they are in the file and read as zeroes
  };
  // Side by side, at least one and at most so many. Errc::no_space: no sector's number is left.
  Result<Taken> take(uint64_t most) EXCLUDES(mutex_);
  // As many, at the end of the file.
  Result<Taken> append(uint64_t count) EXCLUDES(mutex_);
  // Were taken and never pointed at.
  void give_back(uint64_t first, uint64_t count) EXCLUDES(mutex_);
  // The pointers to them were dropped in memory.
  void dropped(uint64_t first, uint64_t count) EXCLUDES(mutex_);

  // Around a flush: what was dropped before it, and that the drop is durable (or failed to be).
  using Batch = std::vector<uint64_t>;
  Batch take_dropped() EXCLUDES(mutex_);
  void put_back(const Batch& batch) EXCLUDES(mutex_);
  void drop_is_durable(Batch batch) EXCLUDES(mutex_);
  // What no request can be reading any more is free from here on.
  void release() EXCLUDES(mutex_);
  // So many wait for a flush that it is worth one.
  bool many_dropped() const EXCLUDES(mutex_);

 private:
  Result<Taken> append_locked(uint64_t count) REQUIRES(mutex_);
  Batch end_quarantine() EXCLUDES(mutex_);
  void punch(const Batch& blocks);

  const FilePtr file_;
  const uint64_t grain_;  // bytes
  Epochs& epochs_;
  mutable Mutex mutex_;
  std::vector<bool> used_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 0;  // no lower block is free
  Batch dropped_ GUARDED_BY(mutex_);
  struct Waiting {
    uint64_t moment = 0;
    Batch blocks;
  };
  std::deque<Waiting> quarantine_ GUARDED_BY(mutex_);
};

}  // namespace platter::vmdk
