// Epochs: counts the requests under way. It tells when every one that began before a moment has
// ended (freed space waits for that: a reader may still be copying from where a block was), and it
// can hold new ones back until there are none.
#pragma once

#include <array>
#include <atomic>

#include "lib/base/sync.h"

namespace platter {

// Thread safe. A request costs two atomic additions, to a counter few other threads use, and takes
// no lock.
class Epochs {
 public:
  // Held from before a request looks at any table until its answer is out. A thread has one at a
  // time: a second one would wait for an Alone that waits for the first.
  class Request {
   public:
    explicit Request(Epochs& epochs) : epochs_(epochs), count_(epochs.enter()) {}
    ~Request() { epochs_.leave(count_); }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    Epochs& epochs_;
    std::atomic<uint64_t>& count_;
  };

  // While there is one, no request is under way: it waits for those that are, and new ones wait
  // until it goes, so that a stream of them cannot keep it out. Its thread has no request.
  class Alone {
   public:
    explicit Alone(Epochs& epochs) : epochs_(epochs) { epochs_.close(); }
    ~Alone() { epochs_.open(); }
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    Epochs& epochs_;
  };

  // A moment: now.
  uint64_t now() const { return epoch_.load() & ~kClosed; }
  // True once all requests that had begun at that moment have ended.
  bool passed(uint64_t moment) EXCLUDES(mutex_);

 private:
  // Requests of two epochs in a row, by the epoch's parity. The epoch moves on only when those of
  // the one before have ended, so two counters are enough.
  struct alignas(64) Slot {
    std::array<std::atomic<uint64_t>, 2> active{};
  };
  static constexpr size_t kSlots = 16;
  static constexpr uint64_t kClosed = uint64_t{1} << 63;  // in epoch_: there is an Alone

  std::atomic<uint64_t>& enter();
  void leave(std::atomic<uint64_t>& count) {
    count.fetch_sub(1);
    if ((epoch_.load() & kClosed) != 0) wake();
  }
  void wake() EXCLUDES(mutex_);
  void wait_until_open() EXCLUDES(mutex_);
  void close() EXCLUDES(mutex_);
  void open() EXCLUDES(mutex_);
  bool none_active(uint64_t epoch) const;

  std::array<Slot, kSlots> slots_;
  alignas(64) std::atomic<uint64_t> epoch_{2};  // changed under mutex_ only
  Mutex mutex_;
  CondVar changed_;  // a request has ended while it is closed, or it is open again
};

}  // namespace platter
