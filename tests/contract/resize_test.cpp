// A disk that grows keeps what it has and reads as zeroes behind it, and one that is cut keeps its
// start, also when power is lost at any moment; and what was written comes back when the image is
// opened again.
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

std::vector<std::byte> now(const ModelDisk& model) {
  return {model.now().begin(), model.now().end()};
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
      ASSERT_EQ(contents_of(GetParam(), file, below), now(model));
      ASSERT_EQ(GetParam().fault(file), std::nullopt);
    }
  }
}

// Small steps, and one that no table has room for.
std::vector<uint64_t> sizes(uint64_t from) { return {from + 512, from + 8 * KiB, 3 * MiB}; }

TEST_P(Resize, KeepsTheDiskAndAddsZeroes) {
  // The parent of a child is longer.
  const TestParent parent(100 * KiB);
  const Image* below = parent.below(GetParam());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto file = std::make_shared<MemoryFile>("image");
    ASSERT_TRUE(GetParam().create(file));
    std::vector<std::byte> wanted = contents_of(GetParam(), file, below);
    for (const uint64_t size : sizes(GetParam().disk_size)) {
      ModelDisk model(wanted);
      write_history(GetParam(), file, seed, model, below);
      ASSERT_TRUE(grow(GetParam(), file, below, size));
      wanted = now(model);
      wanted.resize(size);
      ASSERT_EQ(contents_of(GetParam(), file, below), wanted);
      ASSERT_EQ(GetParam().fault(file), std::nullopt);
    }
  }
}

// A size that no table has room for; the smaller steps are in the crash search.
TEST_P(Resize, LeavesTheOldDiskOrTheNewOneWhenPowerIsLost) {
  constexpr uint64_t kSize = 3 * MiB;
  const TestParent parent(100 * KiB);
  const Image* below = parent.below(GetParam());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(GetParam().create(file));
    ModelDisk model(contents_of(GetParam(), file, below));
    write_history(GetParam(), file, seed, model, below);
    const std::vector<std::byte> before = now(model);
    std::vector<std::byte> after = before;
    after.resize(kSize);
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto crashed = file->crash(random);
      const std::vector<std::byte> disk = contents_of(GetParam(), crashed, below);
      EXPECT_TRUE(disk == before || disk == after);
      EXPECT_EQ(GetParam().fault(crashed), std::nullopt);
      return {};
    };
    ASSERT_TRUE(grow(GetParam(), std::make_shared<WrappedFile>(file, look), below, kSize));
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(contents_of(GetParam(), file->crash(random), below) == after);
    }
  }
}

// Where a format can cut a disk at all.
TEST_P(Resize, ACutDiskIsTheOldOneOrItsStartWhenPowerIsLost) {
  const TestParent parent(100 * KiB);
  const Image* below = parent.below(GetParam());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(GetParam().create(file));
    ModelDisk model(contents_of(GetParam(), file, below));
    write_history(GetParam(), file, seed, model, below);
    const std::vector<std::byte> before = now(model);
    std::vector<std::byte> after = before;
    after.resize(512 * (1 + random() % (before.size() / 512 - 1)));
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto crashed = file->crash(random);
      const std::vector<std::byte> disk = contents_of(GetParam(), crashed, below);
      EXPECT_TRUE(disk == before || disk == after);
      EXPECT_EQ(GetParam().fault(crashed), std::nullopt);
      return {};
    };
    TestDisk disk(GetParam(), std::make_shared<WrappedFile>(file, look), below);
    const Result<void> cut = disk.writer().shrink(after.size());
    EXPECT_TRUE(cut || cut.error().code() == Errc::unsupported) << cut.error().message();
    ASSERT_TRUE(disk.writer().close());
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(contents_of(GetParam(), file->crash(random), below) == (cut ? after : before));
    }
  }
}

const auto kName = [](const auto& test) { return test.param.name; };
INSTANTIATE_TEST_SUITE_P(Formats, Reopen, testing::ValuesIn(subjects()), kName);
INSTANTIATE_TEST_SUITE_P(Formats, Resize, testing::ValuesIn(only(subjects(), &Subject::can_resize)),
                         kName);

}  // namespace
}  // namespace platter::test
