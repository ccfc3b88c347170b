#include "lib/base/team.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <vector>

namespace platter {
namespace {

TEST(Team, CallsEachStepOnce) {
  Team team(3);
  for (const size_t count : {0U, 1U, 2U, 16U, 1000U}) {
    std::vector<std::atomic<int>> calls(count);
    team.run(count, [&](size_t i) { ++calls.at(i); });
    for (const auto& n : calls) EXPECT_EQ(n, 1);
  }
}

TEST(Team, OfNobodyLeavesAllStepsToTheCaller) {
  Team team(0);
  std::vector<std::thread::id> who(8);
  team.run(who.size(), [&](size_t i) { who[i] = std::this_thread::get_id(); });
  for (const auto& id : who) EXPECT_EQ(id, std::this_thread::get_id());
}

// Each step waits for the other one: it ends only when they run at the same time.
TEST(Team, TakesPartInTheCallersWork) {
  Team team(1);
  std::barrier together(2);
  team.run(2, [&](size_t) { together.arrive_and_wait(); });
}

TEST(Team, ServesSeveralCallersAtOnce) {
  Team team(2);
  std::array<std::atomic<size_t>, 4> sums{};
  std::vector<std::thread> callers;
  for (auto& sum : sums) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) team.run(10, [&](size_t i) { sum += i; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const auto& sum : sums) EXPECT_EQ(sum, 200U * 45);
}

// What a step wrote is there for the caller, on whatever thread it ran.
TEST(Team, ReturnsOnlyWhenTheLastStepIsDone) {
  Team team(3);
  for (int round = 0; round < 500; ++round) {
    std::array<size_t, 7> written{};
    team.run(written.size(), [&](size_t i) { written[i] = i + 1; });
    for (size_t i = 0; i < written.size(); ++i) ASSERT_EQ(written[i], i + 1);
  }
}

}  // namespace
}  // namespace platter
