#include "tests/support/wrapped_file.h"

#include <chrono>

namespace platter::test {

Result<void> FailAt::next(Call call) {
  if (paused_) return {};
  if (call == Call::sync && sync_failed_) return Error(Errc::io, "injected", errno_);
  if (++count_ != n_) return {};
  fired_ = true;
  if (call == Call::sync) sync_failed_ = true;
  return Error(Errc::io, "injected", errno_);
}

WrappedFile::Before FailAt::hook() {
  return [this](Call call) { return next(call); };
}

WrappedFile::Before Pause::hook() {
  return [this](Call call) -> Result<void> {
    std::unique_lock lock(mutex_);
    if (call != call_ || state_ != State::armed) return {};
    state_ = State::stopped;
    changed_.notify_all();
    changed_.wait(lock, [this] { return state_ != State::stopped; });
    return {};
  };
}

void Pause::arm() {
  const std::unique_lock lock(mutex_);
  state_ = State::armed;
}

bool Pause::wait_stopped() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(30),
                           [this] { return state_ == State::stopped; });
}

void Pause::release() {
  const std::unique_lock lock(mutex_);
  state_ = State::idle;
  changed_.notify_all();
}

}  // namespace platter::test
