// Epochs: tells when every request that began before a moment has ended. Freed space waits for it:
// a reader may still be copying from where a block was.
#pragma once

#include <array>
#include <atomic>

#include "lib/base/sync.h"

namespace platter {

// Thread safe. A request costs two atomic additions and takes no lock.
class Epochs {
 public:
  // Held from before a request looks at any table until its answer is out.
  class Request {
   public:
    explicit Request(Epochs& epochs) : epochs_(epochs), epoch_(epochs.enter()) {}
    ~Request() { epochs_.leave(epoch_); }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    Epochs& epochs_;
    uint64_t epoch_;
  };

  // A moment: now.
  uint64_t now() const { return epoch_.load(); }
  // True once all requests that had begun at that moment have ended.
  bool passed(uint64_t moment);

 private:
  uint64_t enter();
  void leave(uint64_t epoch) { active_[epoch % 2].count.fetch_sub(1); }

  struct alignas(64) Counter {
    std::atomic<uint64_t> count{0};
  };
  // Requests of the epoch, by its parity. The epoch moves on only when those of the one before have
  // ended, so two counters are enough.
  std::array<Counter, 2> active_;
  std::atomic<uint64_t> epoch_{2};
  Mutex advance_;
};

}  // namespace platter
