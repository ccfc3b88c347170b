#include "lib/container/writer.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <span>

#include "lib/base/log.h"
#include "lib/container/read_cache.h"

namespace platter {

Writer::Writer(Layout& layout, Image& top, const WriterOptions& options)
    : layout_(layout), top_(top), options_(options), dead_(top.info().block_size, layout.size()) {
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

Result<void> Writer::begin() {
  if (!begun_) {
    TRY(top_.begin_writing());
    begun_ = true;
  }
  return {};
}

template <class How>
Result<void> Writer::change(How&& how) {
  bool flush_soon = false;
  {
    const Layout::Request request(layout_);
    TRY(begin());
    Result<void> done = how(disk(request.view()));
    wrote_ = true;
    if (!done) return done;
    flush_soon = top_.wants_flush();
  }
  return flush_soon ? flush() : Result<void>();
}

Result<void> Writer::write(uint64_t offset, Bytes data) {
  return change([&](const Writable& disk) -> Result<void> {
    ReadCache::Change cached(options_.cache, {offset, data.size()});
    TRY(cow_write(disk, offset, data));
    cached.wrote(data);
    return {};
  });
}

Result<void> Writer::zero(const Range& range, File::Zero how) {
  return change([&](const Writable& disk) {
    const ReadCache::Change cached(options_.cache, range);
    return cow_zero(disk, range, how);
  });
}

Result<void> Writer::discard(const Range& range) {
  return zero(range, options_.discard ? File::Zero::free_space : File::Zero::keep_space);
}

Result<void> Writer::flush() {
  const MutexLock lock(flushing_);
  return flush_it();
}

Result<void> Writer::flush_it() {
  const bool wrote = wrote_.exchange(false);
  Result<void> done = top_.flush(wrote);
  if (!done && wrote) wrote_ = true;
  // What it has may never reach the disk.
  if (!done && options_.cache != nullptr) options_.cache->distrust();
  return done;
}

Result<void> Writer::close() { return flush(); }

Result<void> Writer::grow(uint64_t size) {
  if (size <= layout_.size()) return {};
  const MutexLock changing(changing_);
  const MutexLock lock(flushing_);
  // While requests go on: little is left to be flushed when they wait.
  TRY(flush_it());
  Layout::Change alone(layout_);
  if (size <= layout_.size()) return {};
  TRY(own_the_last_block(alone.view()));
  return resize(alone, size);
}

Result<void> Writer::shrink(uint64_t size) {
  if (size >= layout_.size()) return {};
  const MutexLock changing(changing_);
  const MutexLock lock(flushing_);
  TRY(flush_it());
  Layout::Change alone(layout_);
  if (size >= layout_.size()) return {};
  return resize(alone, size);
}

Result<void> Writer::resize(Layout::Change& alone, uint64_t size) {
  TRY(flush_it());
  const uint64_t before = layout_.size();
  Result<void> done = top_.resize(size);
  begun_ = false;
  forget_from(std::min(before, top_.size()));
  // Also when it failed: the image knows how far it came.
  show_anew(alone);
  return done;
}

void Writer::show_anew(Layout::Change& alone) {
  dead_.resized(top_.size());
  alone.show(alone.view().anew());
}

void Writer::forget_from(uint64_t offset) {
  if (options_.cache != nullptr) options_.cache->forget({offset, kMaxOffset - offset});
}

Result<std::unique_ptr<SnapshotChange>> Writer::begin_change(const SnapshotRequest& request) {
  const MutexLock lock(flushing_);
  Layout::Change alone(layout_);
  return top_.change_snapshots(request);
}

Result<void> Writer::change_snapshots(const SnapshotRequest& request,
                                      const std::function<void()>& changed) {
  const MutexLock changing(changing_);
  std::unique_ptr<SnapshotChange> change = TRY(begin_change(request));
  Result<void> done = change->prepare();
  // What was written meanwhile may take its time; what comes after it is little.
  for (int i = 0; i < 2 && done; ++i) done = flush();
  {
    const MutexLock lock(flushing_);
    Layout::Change alone(layout_);
    if (done) done = change->finish();
    if (!done) change.reset();
    if (!done) return done;
    // What was discarded of the disk it was is none of the disk it is.
    if (request.what == SnapshotRequest::What::apply) {
      dead_.forget_all();
      forget_from(0);
    }
    show_anew(alone);
    if (changed) changed();
  }
  // The change is there, whatever comes of the space.
  Result<void> cleaned = change->clean_up();
  if (cleaned) cleaned = flush();
  if (!cleaned) log::warning("{}", cleaned.error().message());
  return {};
}

// The disk ends inside a block. Where only its parents have that block, a longer one would show
// behind the old end; where it is compressed, or shared with a snapshot, so may what it has there.
// The image gets it for itself then; it reads the same before and after.
Result<void> Writer::own_the_last_block(const View& view) {
  const uint64_t unit = top_.info().block_size;
  const auto longer = [&](const View::Layer& layer) {
    return layer.image->size(layer.snapshot) > view.size();
  };
  if (view.size() == 0 || unit == 0 || view.size() % unit == 0) return {};
  const Range last{view.size() - 1, 1};
  const View::Mapped mapped = TRY(view.map(last));
  const Extent::Kind kind = mapped.extent.kind;
  const auto parents = std::span(view.layers()).subspan(1);
  if (mapped.depth == 0 && kind != Extent::Kind::absent) {
    if (mapped.extent.in_place || kind == Extent::Kind::zero) return {};
  } else if (std::none_of(parents.begin(), parents.end(), longer)) {
    return {};
  }
  std::byte value{};
  TRY(view.read(last.offset, MutableBytes(&value, 1)));
  TRY(begin());
  Writable whole = disk(view);
  whole.zeroes = Zeroes::keep;  // a zero byte, too, makes the block its own
  wrote_ = true;
  return cow_write(whole, last.offset, Bytes(&value, 1));
}

}  // namespace platter
