#include "lib/base/sync.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace platter {
namespace {

TEST(Mutex, LetsOneThreadInAtATime) {
  Mutex mutex;
  int sum = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const MutexLock lock(mutex);
        ++sum;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(sum, 4000);
}

TEST(CondVar, WakesWhoWaitsAndHoldsTheMutexAgain) {
  struct Shared {
    Mutex mutex;
    CondVar changed;
    bool ready GUARDED_BY(mutex) = false;
    int seen GUARDED_BY(mutex) = 0;
  } shared;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      const MutexLock lock(shared.mutex);
      while (!shared.ready) shared.changed.wait(shared.mutex);
      ++shared.seen;
    });
  }
  {
    const MutexLock lock(shared.mutex);
    shared.ready = true;
    shared.changed.notify_all();
  }
  threads.clear();
  const MutexLock lock(shared.mutex);
  EXPECT_EQ(shared.seen, 3);
}

}  // namespace
}  // namespace platter
