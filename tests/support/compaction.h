// An image in memory is compacted while power is lost, calls fail, and the user thinks better of
// it.
#pragma once

#include <cerrno>

#include <gtest/gtest.h>

#include "lib/base/progress.h"
#include "tests/support/crash_file.h"
#include "tests/support/rounds.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {

using Compact = std::function<Result<void>(const FilePtr&, Progress&)>;
// Expects of a file what holds at any moment: the same disk, leaks at most.
using Look = std::function<void(const FilePtr&)>;

// Cancels when it is asked for the n-th time (the first is 1).
class CancelAt final : public Progress {
 public:
  explicit CancelAt(uint64_t n) : n_(n) {}
  void advance(uint64_t done, uint64_t total) override {
    EXPECT_LE(done, total);
    EXPECT_GE(done, done_);
    EXPECT_TRUE(total_ == 0 || total == total_);
    done_ = done;
    total_ = total;
  }
  bool cancelled() const override { return ++asked_ >= n_; }
  bool reached() const { return asked_ >= n_; }
  bool whole() const { return done_ == total_; }

 private:
  uint64_t n_, done_ = 0, total_ = 0;
  mutable uint64_t asked_ = 0;
};

inline void expect_done(const Result<void>& done) { EXPECT_TRUE(done) << done.error().message(); }

// Power is lost before every call that changes the file, and at the end, when the work is durable.
inline void compact_while_power_is_lost(const File& start, const Compact& compact, const Look& look,
                                        uint64_t seeds, int states) {
  for (uint64_t seed = 0; seed < seeds && !testing::Test::HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    const auto disk = std::make_shared<CrashFile>(start);
    const auto before = [&](Call call) -> Result<void> {
      for (int i = 0; call != Call::read && i < states; ++i) look(disk->crash(random));
      return {};
    };
    NoProgress progress;
    expect_done(compact(std::make_shared<WrappedFile>(disk, before), progress));
    for (int i = 0; i < states; ++i) {
      const auto after = disk->crash(random);
      look(after);
      EXPECT_EQ(after->stat()->size, disk->stat()->size);
    }
  }
}

// Of the calls that change the file, or of those that read it, every step-th one fails; then it is
// done on what is left.
inline void compact_while_calls_fail(const File& start, const Compact& compact, const Look& look,
                                     bool reads, uint64_t step) {
  bool failed = true;
  for (uint64_t n = 1; failed && !testing::Test::HasFailure(); n += step) {
    std::mt19937_64 random(n);
    const auto memory = std::make_shared<CrashFile>(start);
    FailAt fail(n, n % 2 == 0 ? EIO : ENOSPC);
    const auto before = [&, hook = fail.hook()](Call call) -> Result<void> {
      return (call == Call::read) == reads ? hook(call) : Result<void>();
    };
    NoProgress progress;
    const auto done = compact(std::make_shared<WrappedFile>(memory, before), progress);
    failed = fail.fired();
    EXPECT_TRUE(done || failed);
    look(memory->crash(random));
    expect_done(compact(memory, progress));
    look(memory);
    if (testing::Test::HasFailure()) ADD_FAILURE() << "call " << n;
  }
}

// It is cancelled whenever it asks; then it is done on what is left.
inline void compact_while_cancelled(const File& start, const Compact& compact, const Look& look) {
  for (uint64_t n = 1; !testing::Test::HasFailure(); ++n) {
    const auto memory = std::make_shared<CrashFile>(start);
    CancelAt cancel(n);
    const auto done = compact(memory, cancel);
    look(memory);
    if (!cancel.reached()) {
      expect_done(done);
      EXPECT_TRUE(cancel.whole());
      EXPECT_GT(n, 1U);
      return;
    }
    EXPECT_TRUE(!done && done.error().code() == Errc::cancelled) << "step " << n;
    EXPECT_LE(memory->stat()->size, start.stat()->size);
    NoProgress progress;
    expect_done(compact(memory, progress));
    look(memory);
  }
}

inline void compact_while_calls_fail(const File& start, const Compact& compact, const Look& look) {
  compact_while_calls_fail(start, compact, look, false, 1);
  compact_while_calls_fail(start, compact, look, true, rounds(17, 1));
}

}  // namespace platter::test
