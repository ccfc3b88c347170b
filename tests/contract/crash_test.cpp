// No power cut loses a flushed byte, shows an impossible one, or breaks the image; and the search
// notices when the order on disk is broken.
#include <gtest/gtest.h>

#include "tests/contract/history.h"
#include "tests/contract/rounds.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

using Wrap = std::function<FilePtr(FilePtr)>;

struct Outcome {
  uint64_t states = 0;
  std::optional<std::string> fault;
};

std::optional<std::string> fault_after_crash(const Subject& subject, const CrashFile& file,
                                             const ModelDisk& model, const Image* parent,
                                             std::mt19937_64& random) {
  const auto after = file.crash(random);
  if (auto fault = subject.fault(after)) return fault;
  return model.impossible(contents_of(subject, after, parent));
}

// One random history; power is lost after every operation.
void search_one(const Subject& subject, uint64_t seed, const Wrap& wrap, Outcome& outcome) {
  std::mt19937_64 random(seed);
  const TestParent parent(subject);
  const Image* below = seed % 2 == 0 ? parent.image() : nullptr;
  const auto file = std::make_shared<CrashFile>();
  ASSERT_TRUE(subject.create(file));
  TestDisk disk(subject, wrap(file), below);
  ModelDisk model(disk.contents());
  for (unsigned step = 1; step <= 59 && !outcome.fault; ++step) {
    const Operation op = draw(random, subject.disk_size, step);
    // Possible from the moment it begins; flushed only when it has returned.
    if (op.kind != Operation::Kind::flush) apply(model, op);
    ASSERT_TRUE(apply(disk.writer(), op));
    if (op.kind == Operation::Kind::flush) apply(model, op);
    outcome.fault = fault_after_crash(subject, *file, model, below, random);
    ++outcome.states;
  }
  if (outcome.fault) return;
  ASSERT_EQ(disk.contents(), std::vector(model.now().begin(), model.now().end()));
}

Outcome search(const Subject& subject, uint64_t states, const Wrap& wrap) {
  Outcome outcome;
  for (uint64_t seed = 0; outcome.states < states && !outcome.fault; ++seed) {
    search_one(subject, seed, wrap, outcome);
  }
  return outcome;
}

class Crash : public testing::TestWithParam<Subject> {};

TEST_P(Crash, LosesNoFlushedByteAndShowsNoImpossibleOne) {
  const Outcome outcome = search(GetParam(), rounds(10'000), [](FilePtr file) { return file; });
  EXPECT_FALSE(outcome.fault) << *outcome.fault;
  RecordProperty("states", static_cast<int>(outcome.states));
}

// The syncs of a flush take turns: first the one that orders data before pointers, then the one
// that makes the pointers durable. Each of them, left out, must be noticed.
TEST_P(Crash, TheSearchNoticesWhenASyncIsMissing) {
  for (const unsigned which : {0U, 1U}) {
    EXPECT_TRUE(
        search(GetParam(), 10'000,
               [=](FilePtr file) { return std::make_shared<SkipSync>(std::move(file), 2, which); })
            .fault)
        << "sync " << which;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Crash, testing::ValuesIn(subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
