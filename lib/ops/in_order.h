// InOrder: jobs done by several threads, their results used by one, in the order of the jobs.
#pragma once

#include <functional>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"

namespace platter {

// Memory is bounded: at most `ahead` results wait. The Work objects are used again and again, so
// that their buffers are allocated once.
//   next:  fills in what is to be done; false: that was all. One thread at a time.
//   work:  does it; several threads, each with a Work of its own.
//   use:   takes the results in the order of next; false: enough. The thread that calls run().
// The first error in that order ends it all and is the result. Lock order: planning_, mutex_.
template <class Work>
class InOrder {
 public:
  struct Steps {
    std::function<Result<bool>(Work&)> next;
    std::function<Result<void>(Work&)> work;
    std::function<Result<bool>(Work&)> use;
  };

  // threads, ahead: at least 1.
  InOrder(Steps steps, unsigned threads, size_t ahead)
      : steps_(std::move(steps)), thread_count_(threads), slots_(ahead) {}

  Result<void> run() EXCLUDES(mutex_) {
    const Stopper stopper(*this);
    if (!start_threads()) return Error(Errc::io, "cannot start a thread");
    for (uint64_t turn = 0;; ++turn) {
      Slot* slot = wait_for(turn);
      if (slot == nullptr) return {};
      if (slot->error) return std::move(*slot->error);
      if (!TRY(steps_.use(slot->work))) return {};
      give_back(*slot);
    }
  }

 private:
  struct Slot {
    Work work;
    std::optional<Error> error;
    bool ready = false;
  };

  // Ends the threads, however run() ends.
  class Stopper {
   public:
    explicit Stopper(InOrder& owner) : owner_(owner) {}
    ~Stopper() {
      {
        const MutexLock lock(owner_.mutex_);
        owner_.stopped_ = true;
        owner_.changed_.notify_all();
      }
      for (std::thread& thread : owner_.threads_) thread.join();
    }
    Stopper(const Stopper&) = delete;
    Stopper& operator=(const Stopper&) = delete;

   private:
    InOrder& owner_;
  };

  bool start_threads() {
    threads_.reserve(thread_count_);
    try {
      while (threads_.size() < thread_count_) threads_.emplace_back([this] { serve(); });
    } catch (const std::system_error&) {
      // The limit of processes is reached: fewer do as well.
    }
    return !threads_.empty();
  }

  void serve() {
    while (Slot* slot = take()) {
      std::optional<Error> error;
      if (!slot->error) error = guarded(steps_.work, slot->work);
      const MutexLock lock(mutex_);
      if (error) slot->error = std::move(error);
      slot->ready = true;
      changed_.notify_all();
    }
  }

  // The next slot, with something to do or the error of next in it; null: no more.
  Slot* take() EXCLUDES(mutex_) {
    const MutexLock planning(planning_);
    Slot* slot = wait_for_room();
    if (slot == nullptr) return nullptr;
    bool more = false;
    slot->error = guarded(
        [&](Work& work) -> Result<void> {
          more = TRY(steps_.next(work));
          return {};
        },
        slot->work);
    const MutexLock lock(mutex_);
    ended_ = !more;
    if (!more && !slot->error) {
      changed_.notify_all();
      return nullptr;
    }
    ++taken_;
    return slot;
  }

  // Memory that is not there must not end the process from a thread nobody waits for.
  template <class Step>
  static std::optional<Error> guarded(const Step& step, Work& work) {
    try {
      Result<void> done = step(work);
      if (!done) return std::move(done.error());
      return std::nullopt;
    } catch (const std::bad_alloc&) {
      return Error(Errc::io, "out of memory");
    }
  }

  Slot* wait_for_room() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    while (!stopped_ && !ended_ && taken_ - used_ == slots_.size()) changed_.wait(mutex_);
    return stopped_ || ended_ ? nullptr : &slots_[taken_ % slots_.size()];
  }

  Slot* wait_for(uint64_t turn) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    Slot& slot = slots_[turn % slots_.size()];
    while (!slot.ready && !(ended_ && turn == taken_)) changed_.wait(mutex_);
    return slot.ready ? &slot : nullptr;
  }

  void give_back(Slot& slot) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    slot.ready = false;
    ++used_;
    changed_.notify_all();
  }

  const Steps steps_;
  const unsigned thread_count_;
  std::vector<std::thread> threads_;
  Mutex planning_;  // held while next runs
  Mutex mutex_;
  CondVar changed_;
  // A slot belongs to a worker from take() until ready is set under mutex_, then to run() until
  // give_back().
  std::vector<Slot> slots_;
  uint64_t taken_ GUARDED_BY(mutex_) = 0;  // jobs given out so far
  uint64_t used_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;  // next has no more
  bool stopped_ GUARDED_BY(mutex_) = false;
};

}  // namespace platter
