// Writer: the writing side of a container, over its live view and its top image.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <thread>

#include "lib/container/cow_write.h"
#include "lib/container/layout.h"

namespace platter {

struct WriterOptions {
  Zeroes zeroes = Zeroes::detect;
  bool store_same = true;  // see Writable
  bool discard = true;     // false: a discard keeps the space, and still reads as zeroes
  unsigned flush_every_ms =
      5000;  // what waits in memory goes to the disk at least this often; 0: never
  ReadCache* cache = nullptr;  // of the live view, with what the top image shows; it outlives this
};

// Thread safe. Lock order: the mutex of those that change the whole, the flush mutex, the layout,
// the range lock, the image's own locks.
// After close() nothing may be called but the destructor.
class Writer {
 public:
  // top: the first layer of the live view, opened for writing. It and the layout outlive this.
  Writer(Layout& layout, Image& top, const WriterOptions& options);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Whole inside the disk, or Errc::out_of_range. After another error any part of the range may
  // hold old or new bytes. Durable after a flush.
  Result<void> write(uint64_t offset, Bytes data);
  Result<void> zero(const Range& range, File::Zero how);
  Result<void> discard(const Range& range);

  // Something was written, or tried to be.
  bool has_begun() const { return begun_; }
  // Everything that was written is durable.
  bool is_flushed() const { return !wrote_; }

  // Everything that returned before this call is durable when it returns.
  Result<void> flush() EXCLUDES(flushing_);
  // The last flush, its outcome told.
  Result<void> close();

  // While other requests go on: the disk has at least, or at most, so many bytes when it returns,
  // durably; the format may have rounded them up. What is new reads as zeroes, whatever a parent
  // holds there. A crash leaves the old size or the new one. Errors as of Image::resize(); which
  // size the disk has then, Layout::size() says.
  Result<void> grow(uint64_t size) EXCLUDES(changing_, flushing_);
  Result<void> shrink(uint64_t size) EXCLUDES(changing_, flushing_);

  // While other requests go on, which wait only at the very end (and, of apply, all the time).
  // Durable when it returns; a crash or an error leaves the image as it was. Errors as of
  // Image::change_snapshots(). changed: called when it has succeeded, with no request under way.
  Result<void> change_snapshots(const SnapshotRequest& request,
                                const std::function<void()>& changed = {})
      EXCLUDES(changing_, flushing_);

 private:
  // how: given the disk, changes its bytes.
  template <class How>
  Result<void> change(How&& how);
  // begin_writing() is durable before the first byte changes, and is cheap to call again.
  Result<void> begin();
  Writable disk(const View& view) {
    return {view, top_, ranges_, dead_, options_.zeroes, options_.store_same};
  }
  Result<void> flush_it() REQUIRES(flushing_);
  Result<void> resize(Layout::Change& alone, uint64_t size) REQUIRES(changing_, flushing_);
  Result<std::unique_ptr<SnapshotChange>> begin_change(const SnapshotRequest& request)
      REQUIRES(changing_) EXCLUDES(flushing_);
  // The live disk is what the image now is, in its size.
  void show_anew(Layout::Change& alone);
  // Of the cache.
  void forget_from(uint64_t offset);
  Result<void> own_the_last_block(const View& view);
  void start_flusher();
  void flush_now_and_then();

  Layout& layout_;
  Image& top_;
  const WriterOptions options_;
  RangeLock ranges_;
  DiscardMemory dead_;
  std::atomic<bool> begun_{false};  // begin_writing() has succeeded
  std::atomic<bool> wrote_{false};  // guest bytes changed since the last flush began
  Mutex changing_;                  // the disk's size, or the snapshots
  // One flush at a time: who finds nothing to flush must still wait for the flush under way.
  Mutex flushing_;

  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  bool stop_ = false;  // guarded by stop_mutex_
  std::thread flusher_;
};

}  // namespace platter
