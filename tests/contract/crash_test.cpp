// No power cut loses a flushed byte, shows an impossible one, or breaks the image; and the search
// notices when the order on disk is broken.
#include <gtest/gtest.h>

#include "tests/contract/crash_search.h"
#include "tests/support/rounds.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

uint64_t crash_states() { return rounds(1'000, 100'000); }

class Crash : public testing::TestWithParam<Subject> {};

TEST_P(Crash, LosesNoFlushedByteAndShowsNoImpossibleOne) {
  const SearchOutcome outcome = search_crashes(GetParam(), crash_states());
  EXPECT_FALSE(outcome.fault) << *outcome.fault;
  RecordProperty("states", static_cast<int>(outcome.states));
}

// The syncs of a flush take turns: first the one that orders data before pointers, then the one
// that makes the pointers durable. Each of them, left out, must be noticed.
TEST_P(Crash, TheSearchNoticesWhenASyncIsMissing) {
  for (const unsigned which : {0U, 1U}) {
    const auto skip = [=](FilePtr file) {
      return std::make_shared<SkipSync>(std::move(file), 2, which);
    };
    EXPECT_TRUE(search_crashes(GetParam(), 10'000, skip).fault) << "sync " << which;
  }
}

class CrashOfSnapshots : public testing::TestWithParam<Subject> {};

TEST_P(CrashOfSnapshots, LeavesThemAsTheyWereOrAsTheyWereToBe) {
  const SearchOutcome outcome = search_crashes(GetParam(), crash_states(), {}, Between::snapshots);
  EXPECT_FALSE(outcome.fault) << *outcome.fault;
}

INSTANTIATE_TEST_SUITE_P(Formats, CrashOfSnapshots,
                         testing::ValuesIn(only(subjects(), &Subject::can_snapshot)),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Formats, Crash, testing::ValuesIn(subjects()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Used, Crash, testing::ValuesIn(used_subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
