// The n-th call to the file fails, for every n: what was there before still holds, a flush that
// says it succeeded has made everything durable, and after a failed sync none says so.
#include <cerrno>

#include <gtest/gtest.h>

#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/snapshots.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

// A disk on a file in which one call fails, from its opening on.
class FaultyDisk {
 public:
  FaultyDisk(const Subject& subject, uint64_t n, uint64_t seed, int sys_errno)
      : subject_(subject),
        random_(seed),
        parent_(subject.disk_size),
        below_(parent_.below(subject, seed)),
        memory_(std::make_shared<CrashFile>()),
        fail_(n, sys_errno) {
    EXPECT_TRUE(subject.create(memory_));
    model_.emplace(contents_of(subject, memory_, below_));
  }

  // Works until the first failure. False: nothing failed, n is past the last call.
  bool run() {
    const auto file = std::make_shared<WrappedFile>(memory_, fail_.hook());
    if (!open(file)) {
      EXPECT_EQ(contents_of(subject_, memory_, below_), model_->contents());
      return true;
    }
    for (unsigned step = 1; step <= 40; ++step) {
      const Operation op = draw(random_, subject_.disk_size, step);
      if (op.kind != Operation::Kind::flush) apply(*model_, op);
      if (!apply(disk_->writer(), op)) return look_after_failure();
      if (op.kind == Operation::Kind::flush) apply(*model_, op);
    }
    if (!disk_->writer().flush()) return look_after_failure();
    return fail_.fired();
  }

 private:
  bool open(const FilePtr& file) {
    try {
      disk_.emplace(subject_, file, below_);
      return true;
    } catch (const std::runtime_error&) {
      EXPECT_TRUE(fail_.fired());
      return false;
    }
  }

  bool look_after_failure() {
    fail_.disarm();
    // The failed operation may have done part of its work; no other byte has changed.
    EXPECT_EQ(model_->impossible(disk_->contents()), std::nullopt);
    expect_only_the_possible();
    if (fail_.sync_failed()) {
      EXPECT_FALSE(disk_->writer().flush());
      EXPECT_FALSE(disk_->writer().close());
      expect_only_the_possible();
    } else {
      EXPECT_TRUE(disk_->writer().flush());
      for (int i = 0; i < 3; ++i) expect_reads(memory_->crash(random_), disk_->contents());
      go_on();
      EXPECT_TRUE(disk_->writer().close());
    }
    disk_.reset();
    EXPECT_EQ(subject_.fault(memory_), std::nullopt);
    return true;
  }

  void expect_only_the_possible() {
    for (int i = 0; i < 3; ++i) {
      const auto after = memory_->crash(random_);
      EXPECT_EQ(subject_.fault(after), std::nullopt);
      EXPECT_EQ(model_->impossible(contents_of(subject_, after, below_)), std::nullopt);
    }
  }

  // The disk is as good as before.
  void go_on() {
    ModelDisk model(disk_->contents());
    for (unsigned step = 41; step <= 50; ++step) {
      const Operation op = draw(random_, subject_.disk_size, step);
      EXPECT_TRUE(apply(disk_->writer(), op));
      apply(model, op);
    }
    EXPECT_TRUE(same(disk_->contents(), model.contents()));
    EXPECT_TRUE(disk_->writer().flush());
    expect_reads(memory_->crash(random_), model.contents());
  }

  void expect_reads(const FilePtr& file, const std::vector<std::byte>& wanted) {
    EXPECT_EQ(subject_.fault(file), std::nullopt);
    EXPECT_TRUE(same(contents_of(subject_, file, below_), wanted));
  }

  const Subject& subject_;
  std::mt19937_64 random_;
  const TestParent parent_;
  const Image* const below_;
  std::shared_ptr<CrashFile> memory_;
  FailAt fail_;
  std::optional<ModelDisk> model_;
  std::optional<TestDisk> disk_;
};

class Fault : public testing::TestWithParam<Subject> {};

TEST_P(Fault, AFailingCallHurtsNothingThatWasThere) {
  for (const int sys_errno : {EIO, ENOSPC}) {
    for (uint64_t seed = 0; seed < rounds(1, 4); ++seed) {
      uint64_t n = 1;
      while (FaultyDisk(GetParam(), n, seed + static_cast<unsigned>(sys_errno), sys_errno).run()) {
        ASSERT_FALSE(HasFailure()) << "call " << n << " seed " << seed;
        ++n;
      }
      EXPECT_GT(n, 30U);
    }
  }
}

// A disk with a history; cut short: a crash left it with leaks, where the format can have some.
std::shared_ptr<MemoryFile> used_disk(const Subject& subject, const Image* below, bool cut_short) {
  for (uint64_t seed = 1;; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    EXPECT_TRUE(subject.create(file));
    TestDisk disk(subject, file, below);
    for (unsigned step = 1; step <= 20; ++step) {
      EXPECT_TRUE(apply(disk.writer(), draw(random, subject.disk_size, step)));
    }
    if (!cut_short) {
      EXPECT_TRUE(disk.writer().close());
      return file->crash(random);
    }
    auto after = file->crash(random);
    const auto report = check(subject, after, Repair::none);
    if (report && report->leaks != 0) return after;
  }
}

using Work = std::function<Result<void>(const FilePtr&)>;
using Judge = std::function<void(const FilePtr&)>;

// Does the work on copies of the file, the n-th call failing, for every n; then again on what is
// left, without failures. right: holds whatever happens; done: after the work.
void fail_every_call(const File& start, const Work& work, const Judge& right, const Judge& done) {
  for (const int sys_errno : {EIO, ENOSPC}) {
    for (uint64_t n = 1;; ++n) {
      ASSERT_FALSE(testing::Test::HasFailure()) << "call " << n - 1;
      std::mt19937_64 random(n);
      const auto memory = std::make_shared<CrashFile>(start);
      FailAt fail(n, sys_errno);
      Result<void> worked = work(std::make_shared<WrappedFile>(memory, fail.hook()));
      right(memory);
      for (uint64_t i = 0; i < rounds(2, 4); ++i) right(memory->crash(random));
      if (worked) done(memory->crash(random));
      EXPECT_TRUE(worked || fail.fired());
      worked = work(memory);
      ASSERT_TRUE(worked) << worked.error().message();
      done(memory->crash(random));
      if (!fail.fired()) {
        EXPECT_GT(n, 2U);
        break;
      }
    }
  }
}

class FaultyResize : public testing::TestWithParam<Subject> {};

TEST_P(FaultyResize, LeavesTheOldDiskOrTheNewOne) {
  const Subject& subject = GetParam();
  const TestParent parent(subject.disk_size);
  const Image* below = parent.below(subject);
  const auto start = used_disk(subject, below, false);
  const std::vector<std::byte> before = contents_of(subject, start, below);
  for (const uint64_t size : {subject.disk_size + 4 * KiB, 3 * MiB}) {
    std::vector<std::byte> after = before;
    after.resize(size);
    const Work work = [&](const FilePtr& file) -> Result<void> {
      Epochs epochs;
      const ImagePtr image = TRY(subject.open(file, epochs, true));
      return image->resize(size);
    };
    const Judge right = [&](const FilePtr& file) {
      EXPECT_EQ(subject.fault(file), std::nullopt);
      const auto disk = contents_of(subject, file, below);
      EXPECT_TRUE(disk == before || disk == after);
    };
    const Judge done = [&](const FilePtr& file) {
      EXPECT_TRUE(same(contents_of(subject, file, below), after));
    };
    ASSERT_NO_FATAL_FAILURE(fail_every_call(*start, work, right, done));
  }
}

class FaultySnapshots : public testing::TestWithParam<Subject> {};

TEST_P(FaultySnapshots, AreAsTheyWereOrAsTheyWereToBe) {
  using What = SnapshotRequest::What;
  using States = std::vector<std::vector<std::byte>>;
  const Subject& subject = GetParam();
  const TestParent parent(subject.disk_size);
  const Image* below = parent.below(subject);
  const auto start = used_disk(subject, below, false);
  {
    TestDisk disk(subject, start, below);
    ASSERT_TRUE(take_snapshot(disk.image(), "a"));
    ASSERT_TRUE(disk.write({3000, 5000}, std::byte{1}));
    ASSERT_TRUE(disk.writer().flush());
    ASSERT_TRUE(take_snapshot(disk.image(), "b"));
    ASSERT_TRUE(disk.write({1000, 5000}, std::byte{2}));
    ASSERT_TRUE(disk.writer().close());
  }
  const auto first = (*read_snapshots(subject, start, below)).size() - 2;
  for (const What what : {What::create, What::remove, What::rename, What::apply}) {
    const SnapshotRequest request{
        .what = what, .id = what == What::create ? 0 : first + 1, .name = "c"};
    const auto before =
        std::pair(contents_of(subject, start, below), *read_snapshots(subject, start, below));
    auto after = before;
    if (what == What::create) after.second.push_back(before.first);
    if (what == What::remove) after.second.erase(after.second.begin() + static_cast<long>(first));
    if (what == What::apply) after.first = before.second[first];
    const auto seen = [&](const FilePtr& file) {
      const auto states = read_snapshots(subject, file, below);
      return std::pair(contents_of(subject, file, below), states ? *states : States());
    };
    const Work work = [&](const FilePtr& file) -> Result<void> {
      Epochs epochs;
      const ImagePtr image = TRY(subject.open(file, epochs, true));
      const bool renamed =
          what == What::rename && image->snapshots().at(first).name == request.name;
      // An error may come when it has happened already, if not durably.
      const auto states = read_snapshots(subject, file, below);
      const auto disk = read_disk(subject, file, below);
      const bool there = states && disk && same(std::pair(*disk, *states), after);
      if ((what != What::rename && there) || renamed) return file->sync();
      return change_snapshots(*image, request);
    };
    const Judge right = [&](const FilePtr& file) {
      EXPECT_EQ(subject.fault(file), std::nullopt);
      const auto now = seen(file);
      EXPECT_TRUE(same(now, before) || same(now, after));
    };
    const Judge done = [&](const FilePtr& file) { EXPECT_TRUE(same(seen(file), after)); };
    ASSERT_NO_FATAL_FAILURE(fail_every_call(*start, work, right, done)) << static_cast<int>(what);
  }
}

class FaultyRepair : public testing::TestWithParam<Subject> {};

TEST_P(FaultyRepair, KeepsTheDisk) {
  const Subject& subject = GetParam();
  const TestParent parent(subject.disk_size);
  const Image* below = parent.below(subject);
  const auto start = used_disk(subject, below, true);
  const std::vector<std::byte> before = contents_of(subject, start, below);
  for (const Repair how : {Repair::leaks, Repair::all}) {
    const Work work = [&](const FilePtr& file) -> Result<void> {
      TRY(check(subject, file, how));
      return {};
    };
    const Judge right = [&](const FilePtr& file) {
      EXPECT_EQ(subject.fault(file), std::nullopt);
      EXPECT_TRUE(same(contents_of(subject, file, below), before));
    };
    const Judge done = [&](const FilePtr& file) {
      right(file);
      const auto report = check(subject, file, Repair::none);
      EXPECT_TRUE(report && report->leaks == 0);
    };
    ASSERT_NO_FATAL_FAILURE(fail_every_call(*start, work, right, done));
  }
}

class FaultyCompaction : public testing::TestWithParam<Subject> {};

TEST_P(FaultyCompaction, KeepsTheDisk) {
  const Subject& subject = GetParam();
  const TestParent parent(subject.disk_size);
  const Image* below = parent.below(subject);
  const auto start = used_disk(subject, below, subject.can_repair);
  const std::vector<std::byte> before = contents_of(subject, start, below);
  const Work work = [&](const FilePtr& file) -> Result<void> {
    NoProgress nobody;
    return compact(subject, file, nobody);
  };
  const Judge right = [&](const FilePtr& file) {
    EXPECT_EQ(subject.fault(file), std::nullopt);
    EXPECT_TRUE(same(contents_of(subject, file, below), before));
  };
  ASSERT_NO_FATAL_FAILURE(fail_every_call(*start, work, right, right));
}

INSTANTIATE_TEST_SUITE_P(Formats, Fault, testing::ValuesIn(subjects()), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, FaultyResize,
                         testing::ValuesIn(only(subjects(), &Subject::can_resize)), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, FaultySnapshots,
                         testing::ValuesIn(only(subjects(), &Subject::can_snapshot)), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, FaultyCompaction,
                         testing::ValuesIn(only(subjects(), &Subject::can_compact)), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, FaultyRepair,
                         testing::ValuesIn(only(subjects(), &Subject::can_repair)), kSubjectName);

}  // namespace
}  // namespace platter::test
