// A disk that grows keeps what it has and reads as zeroes behind it, also when power is lost at any
// moment; and what was written comes back when the image is opened again.
#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

class Reopen : public testing::TestWithParam<Subject> {};
class Resize : public testing::TestWithParam<Subject> {};

std::vector<Subject> resizable() {
  std::vector<Subject> found = subjects();
  std::erase_if(found, [](const Subject& s) { return !s.can_resize; });
  return found;
}

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
    const TestParent parent(GetParam());
    const Image* below = seed % 2 == 0 ? parent.image() : nullptr;
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

Result<void> resize(const Subject& subject, const FilePtr& file, uint64_t size) {
  Epochs epochs;
  const ImagePtr image = TRY(subject.open(file, epochs, true));
  return image->resize(size);
}

// Small steps, and one that no table has room for.
std::vector<uint64_t> sizes(uint64_t from) { return {from + 512, from + 8 * KiB, 3 * MiB}; }

TEST_P(Resize, KeepsTheDiskAndAddsZeroes) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto file = std::make_shared<MemoryFile>("image");
    ASSERT_TRUE(GetParam().create(file));
    std::vector<std::byte> wanted(GetParam().disk_size);
    for (const uint64_t size : sizes(GetParam().disk_size)) {
      ModelDisk model(wanted);
      write_history(GetParam(), file, seed, model, nullptr);
      ASSERT_TRUE(resize(GetParam(), file, size));
      wanted = now(model);
      wanted.resize(size);
      ASSERT_EQ(contents_of(GetParam(), file), wanted);
      ASSERT_EQ(GetParam().fault(file), std::nullopt);
    }
  }
}

TEST_P(Resize, LeavesTheOldDiskOrTheNewOneWhenPowerIsLost) {
  std::mt19937_64 random(3);
  const auto file = std::make_shared<CrashFile>();
  ASSERT_TRUE(GetParam().create(file));
  ModelDisk model(std::vector<std::byte>(GetParam().disk_size));
  write_history(GetParam(), file, 1, model, nullptr);
  const std::vector<std::byte> before = now(model);
  for (const uint64_t size : sizes(GetParam().disk_size)) {
    const std::vector<std::byte> old = contents_of(GetParam(), file);
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto after = file->crash(random);
      std::vector<std::byte> disk = contents_of(GetParam(), after);
      EXPECT_TRUE(disk.size() == old.size() || disk.size() == size);
      EXPECT_EQ(GetParam().fault(after), std::nullopt);
      disk.resize(before.size());
      EXPECT_TRUE(disk == before);
      return {};
    };
    ASSERT_TRUE(resize(GetParam(), std::make_shared<WrappedFile>(file, look), size));
    EXPECT_EQ(contents_of(GetParam(), file->crash(random)).size(), size);
  }
}

const auto kName = [](const auto& test) { return test.param.name; };
INSTANTIATE_TEST_SUITE_P(Formats, Reopen, testing::ValuesIn(subjects()), kName);
INSTANTIATE_TEST_SUITE_P(Formats, Resize, testing::ValuesIn(resizable()), kName);

}  // namespace
}  // namespace platter::test
