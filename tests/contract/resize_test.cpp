// A disk that grows keeps what it has and reads as zeroes behind it, and one that is cut keeps its
// start, also when power is lost at any moment; and what was written comes back when the image is
// opened again.
#include <functional>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

class Reopen : public testing::TestWithParam<Subject> {};
class Resize : public testing::TestWithParam<Subject> {};

void write_history(const Subject& subject, const FilePtr& file, uint64_t seed, ModelDisk& model,
                   const Image* parent) {
  std::mt19937_64 random(seed);
  TestDisk disk(subject, file, parent);
  for (unsigned step = 1; step <= 40; ++step) {
    const Operation op = draw(random, model.size(), step);
    ASSERT_TRUE(apply(disk.writer(), op));
    apply(model, op);
  }
  ASSERT_TRUE(disk.writer().close());
}

TEST_P(Reopen, FindsEverythingThatWasWritten) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const TestParent parent(GetParam().disk_size);
    const Image* below = parent.below(GetParam(), seed);
    const auto file = std::make_shared<MemoryFile>("image");
    ASSERT_TRUE(GetParam().create(file));
    ModelDisk model(contents_of(GetParam(), file, below));
    for (uint64_t session = 0; session < 3; ++session) {
      write_history(GetParam(), file, 3 * seed + session, model, below);
      ASSERT_EQ(contents_of(GetParam(), file, below), model.contents());
      ASSERT_EQ(GetParam().fault(file), std::nullopt);
    }
  }
}

TEST_P(Resize, KeepsTheDiskAndAddsZeroes) {
  // The parent of a child is longer.
  const TestParent parent(GetParam().disk_size + 76 * KiB);
  const Image* below = parent.below(GetParam());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto file = std::make_shared<MemoryFile>("image");
    ASSERT_TRUE(GetParam().create(file));
    std::vector<std::byte> wanted = contents_of(GetParam(), file, below);
    for (const uint64_t size : larger_sizes(GetParam().disk_size)) {
      ModelDisk model(wanted);
      write_history(GetParam(), file, seed, model, below);
      ASSERT_TRUE(grow(GetParam(), file, below, size));
      wanted = model.contents();
      wanted.resize(size);
      ASSERT_EQ(contents_of(GetParam(), file, below), wanted);
      ASSERT_EQ(GetParam().fault(file), std::nullopt);
    }
  }
}

// A disk with a history, and every call to its file looked at while its size changes.
class SizeChange {
 public:
  SizeChange(const Subject& subject, uint64_t seed)
      : subject_(subject),
        random_(seed),
        parent_(subject.disk_size + 76 * KiB),
        below_(parent_.below(subject, 1)) {
    EXPECT_TRUE(subject.create(file_));
    ModelDisk model(contents_of(subject, file_, below_));
    write_history(subject, file_, seed, model, below_);
    before_ = model.contents();
  }
  uint64_t size() const { return before_.size(); }
  std::mt19937_64& random() { return random_; }

  // change: given the file and what is below it. The disk is the old one or the new one whenever
  // power is lost, and the new one when it has said so.
  void expect(uint64_t size, const std::function<bool(const FilePtr&, const Image*)>& change) {
    std::vector<std::byte> after = before_;
    after.resize(size);
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto crashed = file_->crash(random_);
      const std::vector<std::byte> disk = contents_of(subject_, crashed, below_);
      EXPECT_TRUE(disk == before_ || disk == after);
      EXPECT_EQ(subject_.fault(crashed), std::nullopt);
      return {};
    };
    const bool changed = change(std::make_shared<WrappedFile>(file_, look), below_);
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(contents_of(subject_, file_->crash(random_), below_) ==
                  (changed ? after : before_));
    }
  }

 private:
  const Subject& subject_;
  std::mt19937_64 random_;
  const TestParent parent_;
  const Image* const below_;
  const std::shared_ptr<CrashFile> file_ = std::make_shared<CrashFile>();
  std::vector<std::byte> before_;
};

// A size that no table has room for; the smaller steps are in the crash search.
TEST_P(Resize, LeavesTheOldDiskOrTheNewOneWhenPowerIsLost) {
  constexpr uint64_t kLarger = 3 * MiB;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    SizeChange(GetParam(), seed).expect(kLarger, [](const FilePtr& file, const Image* below) {
      const Result<void> grown = grow(GetParam(), file, below, kLarger);
      EXPECT_TRUE(grown) << grown.error().message();
      return true;
    });
  }
}

// Where a format can cut a disk at all.
TEST_P(Resize, ACutDiskIsTheOldOneOrItsStartWhenPowerIsLost) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    SizeChange disk(GetParam(), seed);
    const uint64_t size = 512 * (1 + disk.random()() % (disk.size() / 512 - 1));
    disk.expect(size, [=](const FilePtr& file, const Image* below) {
      TestDisk opened(GetParam(), file, below);
      const Result<void> cut = opened.writer().shrink(size);
      EXPECT_TRUE(cut || cut.error().code() == Errc::unsupported) << cut.error().message();
      EXPECT_TRUE(opened.writer().close());
      return bool{cut};
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Reopen, testing::ValuesIn(subjects()), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, Resize, testing::ValuesIn(only(subjects(), &Subject::can_resize)),
                         kSubjectName);

}  // namespace
}  // namespace platter::test
