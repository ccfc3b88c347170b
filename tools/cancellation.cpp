#include "tools/cancellation.h"

#include <atomic>

namespace platter {
namespace {

std::atomic<int> caught{0};
static_assert(std::atomic<int>::is_always_lock_free, "the handler touches it");

extern "C" void remember(int number) { caught = number; }

}  // namespace

Cancellation::Cancellation() {
  caught = 0;
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    // nohup and shells that start jobs in the background ignore some on purpose.
    if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

Cancellation::~Cancellation() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int Cancellation::signal() { return caught; }

}  // namespace platter
