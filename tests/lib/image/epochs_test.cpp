#include "lib/image/epochs.h"

#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace platter {
namespace {

TEST(Epochs, AMomentHasPassedWhenTheRequestsBeforeItHaveEnded) {
  Epochs epochs;
  std::optional<Epochs::Request> before(epochs);
  const uint64_t moment = epochs.now();
  EXPECT_FALSE(epochs.passed(moment));
  const Epochs::Request after(epochs);
  EXPECT_FALSE(epochs.passed(moment));
  before.reset();
  EXPECT_TRUE(epochs.passed(moment));
}

TEST(Epochs, ARequestOfAnotherThreadCountsAsWell) {
  Epochs epochs;
  std::atomic<bool> begun{false}, end{false};
  std::jthread other([&] {
    const Epochs::Request request(epochs);
    begun = true;
    begun.notify_one();
    end.wait(false);
  });
  begun.wait(false);
  const uint64_t moment = epochs.now();
  EXPECT_FALSE(epochs.passed(moment));
  end = true;
  end.notify_one();
  other.join();
  EXPECT_TRUE(epochs.passed(moment));
}

TEST(Epochs, WhoIsAloneHasWaitedForTheRequestsUnderWay) {
  Epochs epochs;
  std::atomic<bool> alone{false};
  std::optional<Epochs::Request> request(epochs);
  std::thread other([&] {
    const Epochs::Alone now(epochs);
    alone = true;
  });
  // It cannot be shown that it waits for ever; that it does at first can be.
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  EXPECT_FALSE(alone);
  request.reset();
  other.join();
  EXPECT_TRUE(alone);
}

TEST(Epochs, NewRequestsWaitForWhoIsAlone) {
  Epochs epochs;
  std::atomic<bool> let_in{false};
  std::optional<Epochs::Alone> alone(epochs);
  std::thread other([&] {
    const Epochs::Request request(epochs);
    let_in = true;
  });
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  EXPECT_FALSE(let_in);
  EXPECT_TRUE(epochs.passed(epochs.now()));
  alone.reset();
  other.join();
  EXPECT_TRUE(let_in);
}

// Nobody starves, and the plain number is the proof (to ThreadSanitizer, too) that none of them
// overlap.
TEST(Epochs, RequestsAndThoseWhoAreAloneTakeTurns) {
  Epochs epochs;
  constexpr int kTurns = 2000;
  int number = 0;
  std::atomic<bool> over{false};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&] {
        int last = 0;
        while (!over) {
          const Epochs::Request request(epochs);
          EXPECT_GE(number, last);
          last = number;
        }
      });
    }
    std::vector<std::jthread> alone;
    for (int t = 0; t < 2; ++t) {
      alone.emplace_back([&] {
        for (int i = 0; i < kTurns; ++i) {
          const Epochs::Alone now(epochs);
          ++number;
        }
      });
    }
    threads.emplace_back([&] {
      while (!over) (void)epochs.passed(epochs.now());
    });
    alone.clear();
    over = true;
  }
  EXPECT_EQ(number, 2 * kTurns);
  const uint64_t moment = epochs.now();
  EXPECT_TRUE(epochs.passed(moment));
}

}  // namespace
}  // namespace platter
