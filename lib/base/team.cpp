#include "lib/base/team.h"

#include <algorithm>
#include <system_error>

namespace platter {

unsigned Team::useful_size() {
  constexpr unsigned kMost = 15;  // beyond that the copy to the client is the limit
  return std::clamp(std::thread::hardware_concurrency(), 1U, kMost + 1) - 1;
}

Team::~Team() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    work_.notify_all();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void Team::start_threads() {
  try {
    while (threads_.size() < size_) threads_.emplace_back([this] { serve(); });
  } catch (const std::system_error&) {
    // The limit of processes is reached: fewer do as well.
  }
}

void Team::step_of(Job& job) {
  const size_t i = job.begun++;
  if (job.begun == job.count) std::erase(jobs_, &job);
  mutex_.unlock();
  job.step(i);
  mutex_.lock();
  if (++job.done == job.count) done_.notify_all();
}

void Team::run(size_t count, const std::function<void(size_t)>& step) {
  if (count < 2 || size_ == 0) {
    for (size_t i = 0; i < count; ++i) step(i);
    return;
  }
  Job job{step, count};
  const MutexLock lock(mutex_);
  start_threads();
  jobs_.push_back(&job);
  for (size_t i = 1; i < std::min<size_t>(count, size_ + size_t{1}); ++i) work_.notify_one();
  while (job.begun < job.count) step_of(job);
  while (job.done < job.count) done_.wait(mutex_);
}

void Team::serve() {
  const MutexLock lock(mutex_);
  for (;;) {
    while (jobs_.empty() && !stopped_) work_.wait(mutex_);
    if (stopped_) return;
    step_of(*jobs_.front());
  }
}

}  // namespace platter
