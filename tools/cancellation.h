// Cancellation: Ctrl-C asks the running operation to end, instead of killing it.
#pragma once

#include <signal.h>

#include <array>

namespace platter {

// While one lives, SIGINT, SIGTERM and SIGHUP only set a mark. One at a time.
class Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // The signal that came since the last Cancellation began; 0: none. Thread safe.
  static int signal();

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace platter
