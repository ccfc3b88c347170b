// Disk: one state of the image, as a directory of the mount shows it.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "lib/base/sync.h"
#include "lib/container/container.h"
#include "lib/container/read_ahead.h"
#include "lib/partition/partition.h"

namespace platter::fusefs {

using PartitionsPtr = std::shared_ptr<const std::vector<Partition>>;

// Thread safe. The container outlives it.
class Disk {
 public:
  // state: null for the live disk.
  Disk(const Container& container, const State* state)
      : container_(container),
        state_(state),
        read_ahead_(
            useful_read_ahead((state != nullptr ? state->view : container.live())->blocks())) {}

  // Null: it is only read.
  Writer* writer() const { return state_ == nullptr ? container_.writer() : nullptr; }
  // What it reads as, until the request ends.
  const View& view(const Layout::Request& request) const {
    return state_ != nullptr ? *state_->view : request.view();
  }
  // Of those who read it.
  ReadAhead& read_ahead() const { return read_ahead_; }
  // Bytes; another moment later when the live disk grows.
  uint64_t size() const {
    return state_ != nullptr ? state_->view->size() : container_.layout().size();
  }
  const State* state() const { return state_; }
  // Its snapshot is being deleted: it is not opened any more.
  bool is_going() const { return going_.load(); }
  void set_going(bool going) { going_.store(going); }
  // The image that shows it; its parents lie below.
  const ChainLayer& layer() const { return container_.chain()[depth()]; }
  // Bytes the host keeps for it and its parents.
  Result<uint64_t> allocated() const { return container_.allocated(depth()); }

  // Read from the disk at the first call that gets through, and again after its table changed.
  Result<PartitionsPtr> partitions() const;
  // The bytes of the disk in range are others now.
  void changed(const Range& range) const;
  // Null: the disk has no partition of that number.
  static const Partition* find(const std::vector<Partition>& partitions, uint32_t number);

 private:
  size_t depth() const { return state_ != nullptr ? state_->depth : 0; }

  const Container& container_;
  const State* state_;
  std::atomic<bool> going_{false};
  mutable ReadAhead read_ahead_;
  mutable Mutex mutex_;
  mutable PartitionsPtr partitions_ GUARDED_BY(mutex_);
};

}  // namespace platter::fusefs
