// EndSignals: SIGTERM, SIGINT and SIGHUP end the mount, once nothing is open or when repeated.
#pragma once

#include <pthread.h>

#include <functional>
#include <thread>

#include "lib/io/posix_file.h"

namespace platter::fusefs {

// Made before any other thread, in the thread that will serve: blocks the signals from there on.
class EndSignals {
 public:
  EndSignals();
  // Waits for the watching thread.
  ~EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  // Starts watching. may_end(first) is asked at each signal, from a thread of its own; when it says
  // true, end() is called and the constructing thread is woken from its system call, again and
  // again until stop(): it may be just about to enter one.
  void watch(std::function<bool(bool first)> may_end, std::function<void()> end);
  // The loop has ended.
  void stop();

 private:
  void run(const std::function<bool(bool first)>& may_end, const std::function<void()>& end);
  // False: stop() was called.
  bool wait_for_signal();

  pthread_t serving_;
  Descriptor signals_;
  Descriptor stopped_;
  std::thread watcher_;
};

}  // namespace platter::fusefs
