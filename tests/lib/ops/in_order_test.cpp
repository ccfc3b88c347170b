#include "lib/ops/in_order.h"

#include <atomic>

#include <gtest/gtest.h>

namespace platter {
namespace {

struct Job {
  int number = -1;
  int square = -1;
};

// Counts up to `last`, and notes in which order the results come.
class Counting {
 public:
  explicit Counting(int last) : last_(last) {}

  InOrder<Job>::Steps steps() {
    return {.next = [this](Job& job) -> Result<bool> {
              job.number = next_++;
              return job.number < last_;
            },
            .work = [this](Job& job) -> Result<void> {
              // Later jobs are ready first.
              for (int i = 0; i < (job.number % 3 == 0 ? 100 : 0); ++i) std::this_thread::yield();
              job.square = job.number * job.number;
              if (job.number == fails_at)
                return Error(Errc::io, "number " + std::to_string(job.number));
              return {};
            },
            .use = [this](Job& job) -> Result<bool> {
              EXPECT_EQ(job.square, job.number * job.number);
              used.push_back(job.number);
              return job.number != stops_at;
            }};
  }

  int taken() const { return next_; }

  int fails_at = -1, stops_at = -1;
  std::vector<int> used;

 private:
  const int last_;
  std::atomic<int> next_{0};
};

std::vector<int> numbers_up_to(int last) {
  std::vector<int> numbers;
  for (int i = 0; i < last; ++i) numbers.push_back(i);
  return numbers;
}

TEST(InOrder, GivesTheResultsInTheOrderOfTheJobs) {
  for (const unsigned threads : {1U, 2U, 7U}) {
    Counting counting(500);
    ASSERT_TRUE(InOrder<Job>(counting.steps(), threads, threads + 2).run());
    EXPECT_EQ(counting.used, numbers_up_to(500));
  }
}

TEST(InOrder, DoesNothingWhenThereIsNothing) {
  Counting counting(0);
  ASSERT_TRUE(InOrder<Job>(counting.steps(), 4, 4).run());
  EXPECT_TRUE(counting.used.empty());
}

TEST(InOrder, EndsWithTheFirstErrorAndUsesWhatWasBeforeIt) {
  Counting counting(500);
  counting.fails_at = 100;
  const auto done = InOrder<Job>(counting.steps(), 4, 8).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "number 100");
  EXPECT_EQ(counting.used, numbers_up_to(100));
}

TEST(InOrder, RunsAheadOfTheUserOnlyAsFarAsItMay) {
  Counting counting(100000);
  counting.stops_at = 50;
  ASSERT_TRUE(InOrder<Job>(counting.steps(), 4, 8).run());
  EXPECT_EQ(counting.used, numbers_up_to(51));
  EXPECT_LE(counting.taken(), 50 + 8);
}

TEST(InOrder, EndsWithAnErrorOfThePlanner) {
  Counting counting(500);
  auto steps = counting.steps();
  steps.next = [next = steps.next](Job& job) -> Result<bool> {
    const bool more = TRY(next(job));
    if (job.number == 10) return Error(Errc::io, "no plan");
    return more;
  };
  const auto done = InOrder<Job>(steps, 3, 5).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "no plan");
  EXPECT_EQ(counting.used, numbers_up_to(10));
}

TEST(InOrder, TurnsExhaustedMemoryIntoAnError) {
  Counting counting(500);
  auto steps = counting.steps();
  steps.work = [](Job&) -> Result<void> { throw std::bad_alloc(); };
  const auto done = InOrder<Job>(steps, 3, 5).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "out of memory");
}

}  // namespace
}  // namespace platter
