// Team: threads that lend a hand when one has several equal things to do and does not want to wait.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "lib/base/sync.h"

namespace platter {

// Thread safe: several threads may run() at once, they share the team.
class Team {
 public:
  // size: threads beside those that call run(); 0 is a team of nobody. They start when they are
  // first needed, so that a process may fork before.
  explicit Team(unsigned size) : size_(size) {}
  // Nobody is in run().
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // As many as keep the machine busy together with one caller.
  static unsigned useful_size();

  // Calls step(0) … step(count - 1), each once, here and on whoever of the team is idle; returns
  // when all of them have. step does not throw; it may wait for a step that has begun, not for
  // one that may not have.
  void run(size_t count, const std::function<void(size_t)>& step) EXCLUDES(mutex_);

 private:
  struct Job {
    const std::function<void(size_t)>& step;
    const size_t count;
    size_t begun = 0;
    size_t done = 0;
  };

  void start_threads() REQUIRES(mutex_);
  void serve() EXCLUDES(mutex_);
  // The next step of a job in jobs_; the job may be gone when it returns, if it is not the
  // caller's own. mutex_ is given up while the step runs.
  void step_of(Job& job) REQUIRES(mutex_);

  const unsigned size_;
  Mutex mutex_;
  CondVar work_;                              // jobs_ has something, or stopped_
  CondVar done_;                              // all steps of a job are done
  std::deque<Job*> jobs_ GUARDED_BY(mutex_);  // with steps that nobody has begun
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
  bool stopped_ GUARDED_BY(mutex_) = false;
};

}  // namespace platter
