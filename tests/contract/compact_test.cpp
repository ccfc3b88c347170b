// A compaction keeps the disk, however far it comes, makes the file no longer, and leaves nothing
// to do for a second one. (What a power cut and a failing call leave: crash_search.h, fault_test.)
#include <gtest/gtest.h>

#include "lib/base/zeroes.h"
#include "lib/io/memory_file.h"
#include "lib/ops/give_up_zeroes.h"
#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/snapshots.h"

namespace platter::test {
namespace {

// Gives up when it has been asked so often whether it does.
class Patience final : public Progress {
 public:
  explicit Patience(uint64_t questions) : left_(questions) {}
  void advance(uint64_t done, uint64_t total) override {
    EXPECT_LE(done, total);
    EXPECT_GE(done, last_) << "of " << total;
    last_ = done;
  }
  bool cancelled() const override { return left_ == 0 || --left_ == 0; }

 private:
  mutable uint64_t left_;
  uint64_t last_ = 0;
};
constexpr uint64_t kForever = ~uint64_t{0};

class Compaction : public testing::TestWithParam<Subject> {
 protected:
  // A disk with a history, a snapshot in the middle of it where there are such, and what leaked
  // when power was lost at the end of every second one.
  void make(uint64_t seed) {
    const Subject& subject = GetParam();
    below_ = parent_.below(subject, seed);
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(subject.create(file));
    TestDisk disk(subject, file, below_);
    for (unsigned step = 1; step <= 40; ++step) {
      ASSERT_TRUE(apply(disk.writer(), draw(random, subject.disk_size, step)));
      if (step == 20 && subject.can_snapshot) {
        ASSERT_TRUE(take_snapshot(disk.image(), "s"));
      }
    }
    if (seed % 4 < 2) {
      ASSERT_TRUE(disk.writer().close());
    }
    start_ = file->crash(random);
    disk_ = contents_of(subject, start_, below_);
    const auto snapshots = read_snapshots(subject, start_, below_);
    ASSERT_TRUE(snapshots);
    snapshots_ = *snapshots;
  }

  std::shared_ptr<MemoryFile> copy() const {
    auto file = std::make_shared<MemoryFile>("image");
    file->become(*start_);
    return file;
  }
  void expect_the_disk(const FilePtr& file) const {
    EXPECT_TRUE(same(contents_of(GetParam(), file, below_), disk_));
    const auto snapshots = read_snapshots(GetParam(), file, below_);
    EXPECT_TRUE(snapshots && same(*snapshots, snapshots_));
    EXPECT_EQ(GetParam().fault(file), std::nullopt);
  }
  static Result<void> run(const FilePtr& file, uint64_t questions) {
    Patience patience(questions);
    return compact(GetParam(), file, patience);
  }
  static std::vector<std::byte> bytes_in(const File& file) {
    std::vector<std::byte> bytes(file.stat()->size);
    EXPECT_TRUE(file.read_exact(0, bytes));
    return bytes;
  }

  const TestParent parent_{GetParam().disk_size};
  const Image* below_ = nullptr;
  std::shared_ptr<MemoryFile> start_;
  std::vector<std::byte> disk_;
  std::vector<std::vector<std::byte>> snapshots_;
};

TEST_P(Compaction, KeepsTheDiskAndLeavesNothingForASecondOne) {
  for (uint64_t seed = 0; seed < rounds(8) && !HasFailure(); ++seed) {
    ASSERT_NO_FATAL_FAILURE(make(seed));
    const auto file = copy();
    const auto done = run(file, kForever);
    ASSERT_TRUE(done) << done.error().message();
    expect_the_disk(file);
    EXPECT_LE(file->stat()->size, start_->stat()->size);
    const auto report = check(GetParam(), file, Repair::none);
    ASSERT_TRUE(report) << report.error().message();
    if (!GetParam().name.ends_with("_used")) {
      EXPECT_EQ(report->leaks, 0U) << report->messages.front();
    }
    const auto after = bytes_in(*file);
    ASSERT_TRUE(run(file, kForever));
    EXPECT_TRUE(same(bytes_in(*file), after)) << "seed " << seed;
  }
}

TEST_P(Compaction, AsksBeforeItChangesAnything) {
  ASSERT_NO_FATAL_FAILURE(make(0));
  // Closed by a writer of ours, so that there is nothing to mend.
  const auto file = copy();
  const auto before = bytes_in(*file);
  const auto done = run(file, 1);
  // A format whose files have nothing to give back need not ask.
  EXPECT_TRUE(done || done.error().code() == Errc::cancelled);
  EXPECT_TRUE(same(bytes_in(*file), before));
}

TEST_P(Compaction, MayBeCancelledAtEveryStepAndBegunAgain) {
  ASSERT_NO_FATAL_FAILURE(make(2));
  const auto finished = copy();
  ASSERT_TRUE(run(finished, kForever));
  std::mt19937_64 random(1);
  bool cancelled = true;
  for (uint64_t questions = 1; cancelled && !HasFailure(); ++questions) {
    const auto file = std::make_shared<CrashFile>(*start_);
    const auto done = run(file, questions);
    cancelled = !done;
    expect_the_disk(file->crash(random));
    if (cancelled) {
      EXPECT_EQ(done.error().code(), Errc::cancelled);
    }
    expect_the_disk(file);
    ASSERT_TRUE(run(file, kForever));
    expect_the_disk(file);
    EXPECT_EQ(file->stat()->size, finished->stat()->size) << questions;
  }
}

class GiveUpZeroes : public testing::TestWithParam<Subject> {};

// Blocks that are stored, all of them, and hold nothing else.
uint64_t stored_zeroes(const TestDisk& disk, const Image& image) {
  const uint64_t unit = std::max<uint64_t>(image.info().block_size, 512);
  const std::vector<std::byte> bytes = disk.contents();
  uint64_t count = 0;
  for (uint64_t at = 0; at < bytes.size(); at += unit) {
    const Range block{at, std::min<uint64_t>(unit, bytes.size() - at)};
    const auto extent = image.map(block);
    EXPECT_TRUE(extent);
    const bool stored =
        extent && extent->kind == Extent::Kind::data && extent->guest.contains(block);
    count += stored && all_zero(Bytes(bytes).subspan(at, block.length)) ? 1U : 0U;
  }
  return count;
}

TEST_P(GiveUpZeroes, KeepsTheDiskAndIsDurable) {
  const TestParent parent(GetParam().disk_size);
  for (uint64_t seed = 0; seed < rounds(4) && !HasFailure(); ++seed) {
    const Image* below = parent.below(GetParam(), seed);
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(GetParam().create(file));
    std::vector<std::byte> wanted;
    uint64_t left = 0;
    {
      TestDisk disk(GetParam(), file, below);
      for (unsigned step = 1; step <= 40; ++step) {
        ASSERT_TRUE(apply(disk.writer(), draw(random, GetParam().disk_size, step)));
      }
      wanted = disk.contents();
      ASSERT_TRUE(disk.writer().close());
      NoProgress nobody;
      const auto done = give_up_zeroes(disk.layout(), disk.image(), 2, nobody);
      ASSERT_TRUE(done) << done.error().message();
      EXPECT_TRUE(same(disk.contents(), wanted));
      left = stored_zeroes(disk, disk.image());
    }
    TestDisk after(GetParam(), file->crash(random), below);
    EXPECT_TRUE(same(after.contents(), wanted));
    EXPECT_EQ(stored_zeroes(after, after.image()), left);
    EXPECT_EQ(GetParam().fault(file), std::nullopt);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, GiveUpZeroes, testing::ValuesIn(subjects()), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, Compaction,
                         testing::ValuesIn(only(subjects(), &Subject::can_compact)), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Used, Compaction,
                         testing::ValuesIn(only(used_subjects(), &Subject::can_compact)),
                         kSubjectName);
INSTANTIATE_TEST_SUITE_P(Larger, Compaction,
                         testing::ValuesIn(only(larger_subjects(), &Subject::can_compact)),
                         kSubjectName);

}  // namespace
}  // namespace platter::test
