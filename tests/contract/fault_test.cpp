// The n-th call to the file fails, for every n: what was there before still holds.
#include <cerrno>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

class Fault : public testing::TestWithParam<Subject> {};

// A history until its first failure. False: nothing failed, n is past the last call.
bool run_until_failure(const Subject& subject, uint64_t n, uint64_t seed, int sys_errno) {
  std::mt19937_64 random(seed);
  const auto memory = std::make_shared<MemoryFile>("image");
  EXPECT_TRUE(subject.create(memory));
  const TestParent parent(subject);
  FailAt fail(n, sys_errno);
  const auto file = std::make_shared<WrappedFile>(memory, fail.hook());
  fail.pause(true);  // opening fails as a whole or not at all
  std::optional<TestDisk> disk;
  disk.emplace(subject, file, seed % 2 == 0 ? parent.image() : nullptr);
  ModelDisk model(disk->contents());
  fail.pause(false);
  for (unsigned step = 1; step <= 40; ++step) {
    const Operation op = draw(random, subject.disk_size, step);
    apply(model, op);
    if (apply(disk->writer(), op)) continue;
    fail.disarm();
    // The failed operation may have done part of its work; no other byte has changed.
    EXPECT_EQ(model.impossible(disk->contents()), std::nullopt) << "call " << n;
    (void)disk->writer().close();
    disk.reset();
    EXPECT_EQ(subject.fault(memory), std::nullopt) << "call " << n;
    return true;
  }
  return fail.fired();
}

TEST_P(Fault, AFailingCallHurtsNothingThatWasThere) {
  for (const int sys_errno : {EIO, ENOSPC}) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      uint64_t n = 1;
      while (run_until_failure(GetParam(), n, seed, sys_errno)) ++n;
      EXPECT_GT(n, 40U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Fault, testing::ValuesIn(subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
