#include "lib/ops/convert.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/container/extent_walk.h"
#include "tests/lib/ops/each_format.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_container.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::contents;
using test::Creatable;
using test::MemoryDisk;
using test::pattern;
using test::TempDir;

// A disk with data at both ends, in the middle, holes, and zeroes that are stored.
std::shared_ptr<MemoryFile> sparse_disk(uint64_t size) {
  auto file = std::make_shared<MemoryFile>("source");
  EXPECT_TRUE(file->resize(size));
  const auto put = [&](uint64_t offset, size_t length) {
    EXPECT_TRUE(file->write(offset, pattern(offset, length, 1)));
  };
  put(0, 512);
  put(5 * MiB - 100, 200);
  put(7 * MiB, 3 * MiB);
  EXPECT_TRUE(file->write(12 * MiB, std::vector<std::byte>(2 * MiB)));
  put(size - 1, 1);
  return file;
}

// Cancels once it was told of so many bytes.
class Impatient final : public Progress {
 public:
  explicit Impatient(uint64_t limit) : limit_(limit) {}
  void advance(uint64_t done, uint64_t /*total*/) override {
    if (done >= limit_) cancelled_ = true;
  }
  bool cancelled() const override { return cancelled_; }

 private:
  const uint64_t limit_;
  std::atomic<bool> cancelled_{false};
};

class Watching final : public Progress {
 public:
  void advance(uint64_t done, uint64_t total) override {
    EXPECT_GE(done, last_);
    EXPECT_LE(done, total);
    last_ = done;
    total_ = total;
  }
  bool cancelled() const override { return false; }
  bool finished() const { return total_ > 0 && last_ == total_; }

 private:
  uint64_t last_ = 0, total_ = 0;
};

// Reads fail from some offset on.
class BrokenFile final : public File {
 public:
  BrokenFile(uint64_t size, uint64_t good) : size_(size), good_(good) {}
  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override { return FileStat{.size = size_}; }
  Result<void> write(uint64_t, Bytes) override { return Error(Errc::read_only, "read-only"); }
  Result<void> resize(uint64_t) override { return Error(Errc::read_only, "read-only"); }
  Result<void> sync() override { return {}; }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    if (offset + out.size() > good_) return Error(Errc::io, "broken: cannot read");
    std::ranges::fill(out, std::byte{7});
    return out.size();
  }
  std::string name_ = "broken";
  uint64_t size_, good_;
};

class Convert : public testing::TestWithParam<Creatable> {
 protected:
  CreateArgs target(uint64_t size) const {
    return {.path = path_,
            .format = *GetParam().format,
            .size = size,
            .options = GetParam().options(),
            .keys = test::test_keys()};
  }
  std::unique_ptr<Container> open() const {
    auto container = Container::open(
        path_, {.format = std::string(GetParam().format->name()), .keys = test::test_keys()});
    EXPECT_TRUE(container) << container.error().message();
    return container ? *std::move(container) : nullptr;
  }
  // Converts, and expects the new image to show the source's bytes, then zeroes.
  void expect_copy(const std::vector<ViewPtr>& sources, unsigned threads) {
    std::vector<std::byte> wanted;
    for (const ViewPtr& view : sources) {
      const auto part = contents(*view);
      wanted.insert(wanted.end(), part.begin(), part.end());
    }
    Watching progress;
    const auto report = convert(
        {.sources = sources, .target = target(wanted.size()), .threads = threads}, progress);
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_TRUE(progress.finished());
    EXPECT_EQ(report->copied + report->zeroes + report->holes, wanted.size());
    const auto container = open();
    ASSERT_NE(container, nullptr);
    // A format of whole sectors rounds up.
    ASSERT_GE(container->live()->size(), wanted.size());
    ASSERT_LT(container->live()->size(), wanted.size() + 512);
    wanted.resize(container->live()->size());
    EXPECT_TRUE(contents(*container->live()) == wanted);
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "new";
};

TEST_P(Convert, CopiesASparseDisk) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(20 * MiB));
  expect_copy({disk.view}, 3);
}

TEST_P(Convert, CopiesWithOneThread) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(20 * MiB));
  expect_copy({disk.view}, 1);
}

TEST_P(Convert, CopiesADiskThatEndsInsideASector) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(15 * MiB + 513));
  expect_copy({disk.view}, 2);
}

TEST_P(Convert, LaysSourcesEndToEndWhereverTheyEnd) {
  const MemoryDisk first = test::memory_disk(sparse_disk(15 * MiB + 100));
  const MemoryDisk second = test::memory_disk(sparse_disk(16 * MiB));
  expect_copy({first.view, second.view}, 2);
}

TEST_P(Convert, LeavesOutHolesAndZeroesThatAreStored) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(100 * MiB));
  NoProgress progress;
  const auto report =
      convert({.sources = {disk.view}, .target = target(100 * MiB), .threads = 2}, progress);
  ASSERT_TRUE(report);
  // Three blocks, where they have 8 MiB.
  EXPECT_LE(report->copied, 24 * MiB);
  EXPECT_GE(report->copied, 3 * MiB);
}

TEST_P(Convert, StopsWhenCancelledAndLeavesNothing) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(20 * MiB));
  Impatient progress(8 * MiB);
  const auto report =
      convert({.sources = {disk.view}, .target = target(20 * MiB), .threads = 2}, progress);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::cancelled);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_P(Convert, StopsWhenCancelledAfterTheLastByte) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(20 * MiB));
  Impatient progress(20 * MiB);
  EXPECT_FALSE(
      convert({.sources = {disk.view}, .target = target(20 * MiB), .threads = 2}, progress));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_P(Convert, LeavesNothingWhenTheSourceCannotBeRead) {
  BlockCache blocks(MiB);
  const auto resolver = map_resolver({});
  const auto image =
      find_format("raw")->open({.file = std::make_shared<BrokenFile>(20 * MiB, 9 * MiB),
                                .resolver = *resolver,
                                .tables = std::make_shared<PageCache>(MiB)});
  ASSERT_TRUE(image);
  const auto view =
      std::make_shared<const View>(std::vector<View::Layer>{{image->get(), 0}}, blocks);
  NoProgress progress;
  const auto report =
      convert({.sources = {view}, .target = target(20 * MiB), .threads = 2}, progress);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message(), "broken: cannot read");
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_P(Convert, CopiesADiskOfNothingButZeroes) {
  auto file = std::make_shared<MemoryFile>("zeroes");
  ASSERT_TRUE(file->resize(64 * MiB));
  const MemoryDisk disk = test::memory_disk(file);
  expect_copy({disk.view}, 2);
}

TEST_P(Convert, RefusesATargetThatIsTooSmall) {
  const MemoryDisk disk = test::memory_disk(sparse_disk(16 * MiB));
  NoProgress progress;
  EXPECT_FALSE(convert({.sources = {disk.view}, .target = target(MiB), .threads = 2}, progress));
}

INSTANTIATE_TEST_SUITE_P(EachVariant, Convert, testing::ValuesIn(test::everything_creatable()),
                         test::name_of);

}  // namespace
}  // namespace platter
