#include "fusefs/end_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace platter::fusefs {
namespace {

constexpr int kWakeAgain = 10;  // milliseconds

}  // namespace

EndSignals::EndSignals() : serving_(pthread_self()) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC));
  stopped_ = Descriptor(eventfd(0, EFD_CLOEXEC));
  // Does nothing but interrupt a system call.
  struct sigaction wake = {};
  wake.sa_handler = [](int) {};
  sigaction(SIGUSR1, &wake, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

EndSignals::~EndSignals() {
  stop();
  if (watcher_.joinable()) watcher_.join();
}

void EndSignals::watch(std::function<bool(bool)> may_end, std::function<void()> end) {
  watcher_ = std::thread(
      [this, may_end = std::move(may_end), end = std::move(end)] { run(may_end, end); });
}

void EndSignals::stop() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(stopped_.get(), &one, sizeof one);
}

bool EndSignals::wait_for_signal() {
  pollfd fds[] = {{signals_.get(), POLLIN, 0}, {stopped_.get(), POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return false;
    signalfd_siginfo info;
    if (read(signals_.get(), &info, sizeof info) == sizeof info) return true;
  }
}

void EndSignals::run(const std::function<bool(bool)>& may_end, const std::function<void()>& end) {
  bool first = true;
  do {
    if (!wait_for_signal()) return;
  } while (!may_end(std::exchange(first, false)));
  end();
  pollfd stopped = {stopped_.get(), POLLIN, 0};
  while (poll(&stopped, 1, kWakeAgain) <= 0) pthread_kill(serving_, SIGUSR1);
}

}  // namespace platter::fusefs
