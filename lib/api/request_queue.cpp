#include "lib/api/request_queue.h"

#include <algorithm>

namespace platter {

Requests::Queue::Queue(VirtualDisk& disk, unsigned threads) : disk_(disk) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

Requests::Queue::~Queue() {
  {
    const MutexLock lock(mutex_);
    closing_ = true;
  }
  wait();
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    work_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

Requests::Id Requests::Queue::add(Request request) {
  Done refused;
  Id id = 0;
  {
    const MutexLock lock(mutex_);
    id = request.id = ++last_id_;
    if (closing_) {
      refused = std::move(request.done);
    } else {
      ++unfinished_;
      if (request.what == What::flush) {
        add_flush(std::move(request));
      } else {
        request.generation = first_generation_ + generations_.size() - 1;
        if (request.what != What::read) ++generations_.back().unfinished;
        put(std::move(request));
      }
    }
  }
  if (refused) refused(Error(Errc::cancelled, "the disk is being closed"));
  return id;
}

void Requests::Queue::add_flush(Request request) {
  generations_.back().flush = std::move(request);
  generations_.emplace_back();
  release_flushes();
}

void Requests::Queue::put(Request request) {
  queue_.push_back(std::move(request));
  if (sleeping_ != 0) work_.notify_one();
}

void Requests::Queue::release_flushes() {
  while (generations_.size() > 1 && generations_.front().unfinished == 0) {
    std::optional<Request>& flush = generations_.front().flush;
    if (flush) put(std::move(*flush));
    generations_.pop_front();
    ++first_generation_;
  }
}

std::optional<Requests::Queue::Request> Requests::Queue::take() {
  while (!queue_.empty()) {
    Request next = std::move(queue_.front());
    queue_.pop_front();
    if (!next.cancelled) return next;
  }
  return std::nullopt;
}

Result<void> Requests::Queue::perform(const Request& request) {
  const auto [offset, length] = std::pair(request.offset, request.length);
  switch (request.what) {
    case What::read: return disk_.read(offset, {request.into, length});
    case What::write: return disk_.write(offset, {request.from, length});
    case What::zero: return disk_.zero({.offset = offset, .length = length});
    case What::discard: {
      const ByteRange range{.offset = offset, .length = length};
      return disk_.discard({&range, 1});
    }
    case What::flush: break;
  }
  return disk_.flush();
}

void Requests::Queue::run(Request request) {
  mutex_.unlock();
  request.done(perform(request));
  request.done = nullptr;  // what it holds goes before the request counts as done
  mutex_.lock();
  finish(request.what, request.generation);
}

void Requests::Queue::finish(What what, uint64_t generation) {
  if (what != What::read && what != What::flush) {
    if (--generations_[generation - first_generation_].unfinished == 0) release_flushes();
  }
  if (--unfinished_ == 0) idle_.notify_all();
}

void Requests::Queue::serve() {
  const MutexLock lock(mutex_);
  for (;;) {
    if (std::optional<Request> next = take()) {
      run(std::move(*next));
    } else if (stopped_) {
      return;
    } else {
      ++sleeping_;
      work_.wait(mutex_);
      --sleeping_;
    }
  }
}

void Requests::Queue::wait() {
  const MutexLock lock(mutex_);
  while (unfinished_ != 0) {
    if (std::optional<Request> next = take()) {
      run(std::move(*next));
    } else if (unfinished_ != 0) {
      idle_.wait(mutex_);
    }
  }
}

bool Requests::Queue::cancel(Id id) {
  Done done;
  What what = What::flush;
  uint64_t generation = 0;
  {
    const MutexLock lock(mutex_);
    Request* found = nullptr;
    for (Request& request : queue_) {
      if (request.id == id && !request.cancelled) found = &request;
    }
    for (Generation& each : generations_) {
      if (each.flush && each.flush->id == id) found = &*each.flush;
    }
    if (found == nullptr) return false;
    done = std::move(found->done);
    what = found->what;
    generation = found->generation;
    found->cancelled = true;
  }
  done(Error(Errc::cancelled, "cancelled"));
  done = nullptr;
  const MutexLock lock(mutex_);
  finish(what, generation);
  return true;
}

}  // namespace platter
