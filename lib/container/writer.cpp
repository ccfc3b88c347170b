#include "lib/container/writer.h"

#include <pthread.h>

#include <chrono>
#include <csignal>

#include "lib/base/log.h"

namespace platter {

Writer::Writer(ViewPtr view, Image& top, Epochs& epochs, const WriterOptions& options)
    : view_(std::move(view)),
      top_(top),
      epochs_(epochs),
      options_(options),
      dead_(top.info().block_size, view_->size()) {
  if (options_.flush_every_ms != 0) start_flusher();
}

// The program's signals are for its own threads.
void Writer::start_flusher() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  flusher_ = std::thread([this] { flush_now_and_then(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Writer::~Writer() {
  {
    const std::lock_guard lock(stop_mutex_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  if (flusher_.joinable()) flusher_.join();
}

void Writer::flush_now_and_then() {
  std::unique_lock lock(stop_mutex_);
  const auto pause = std::chrono::milliseconds(options_.flush_every_ms);
  while (!stop_changed_.wait_for(lock, pause, [this] { return stop_; })) {
    lock.unlock();
    Result<void> done = wrote_ ? flush() : Result<void>();
    if (!done) log::error("{}", done.error().message());
    lock.lock();
  }
}

// begin_writing() is durable before the first byte changes, and is cheap to call again.
Result<void> Writer::before_change() {
  if (!begun_) {
    TRY(top_.begin_writing());
    begun_ = true;
  }
  return {};
}

Result<void> Writer::after_change() { return top_.wants_flush() ? flush() : Result<void>(); }

Result<void> Writer::write(uint64_t offset, Bytes data) {
  TRY(before_change());
  {
    const Epochs::Request request(epochs_);
    Result<void> done = cow_write(disk(), offset, data);
    wrote_ = true;
    if (!done) return done;
  }
  return after_change();
}

Result<void> Writer::zero(const Range& range, File::Zero how) {
  TRY(before_change());
  {
    const Epochs::Request request(epochs_);
    Result<void> done = cow_zero(disk(), range, how);
    wrote_ = true;
    if (!done) return done;
  }
  return after_change();
}

Result<void> Writer::discard(const Range& range) {
  return zero(range, options_.discard ? File::Zero::free_space : File::Zero::keep_space);
}

Result<void> Writer::flush() {
  const MutexLock lock(flushing_);
  const bool wrote = wrote_.exchange(false);
  Result<void> done = top_.flush(wrote);
  if (!done && wrote) wrote_ = true;
  return done;
}

Result<void> Writer::close() { return flush(); }

}  // namespace platter
