// Writer: the writing side of a container, over its live view and its top image.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <thread>

#include "lib/container/cow_write.h"
#include "lib/image/epochs.h"

namespace platter {

struct WriterOptions {
  Zeroes zeroes = Zeroes::detect;
  bool discard = true;  // false: a discard keeps the space, and still reads as zeroes
  unsigned flush_every_ms =
      5000;  // what waits in memory goes to the disk at least this often; 0: never
};

// Thread safe. Lock order: range lock, then the image's own locks. After close() nothing may be
// called but the destructor.
class Writer {
 public:
  // The image was opened for writing; it, the view and the epochs outlive this.
  Writer(ViewPtr view, Image& top, Epochs& epochs, const WriterOptions& options);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Whole inside the disk, or Errc::out_of_range. After another error any part of the range may
  // hold old or new bytes. Durable after a flush.
  Result<void> write(uint64_t offset, Bytes data);
  Result<void> zero(const Range& range, File::Zero how);
  Result<void> discard(const Range& range);

  // Everything that returned before this call is durable when it returns.
  Result<void> flush() EXCLUDES(flushing_);
  // The last flush, its outcome told.
  Result<void> close();

 private:
  Writable disk() { return {*view_, top_, ranges_, dead_, options_.zeroes}; }
  Result<void> before_change();
  Result<void> after_change();
  void start_flusher();
  void flush_now_and_then();

  const ViewPtr view_;
  Image& top_;
  Epochs& epochs_;
  const WriterOptions options_;
  RangeLock ranges_;
  DiscardMemory dead_;
  std::atomic<bool> begun_{false};  // begin_writing() has succeeded
  std::atomic<bool> wrote_{false};  // guest bytes changed since the last flush began
  // One flush at a time: who finds nothing to flush must still wait for the flush under way.
  Mutex flushing_;

  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  bool stop_ = false;  // guarded by stop_mutex_
  std::thread flusher_;
};

}  // namespace platter
