// Which disk a cache image is of, and when it has changed: containers of every format that can be
// written, opened again and again.
#include <sys/stat.h>

#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "tests/support/bytes.h"
#include "tests/support/same_bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::same;
using testing::HasSubstr;

constexpr uint64_t kCachedDisk = 4 * MiB;

// Formats whose images can be written, without a passphrase.
std::vector<std::string> formats() {
  std::vector<std::string> names;
  for (const Format* format : all_formats()) {
    if (format->can_write() && format->can_create() && format->name() != "luks") {
      names.emplace_back(format->name());
    }
  }
  return names;
}

class ContainerCache : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        create_image({.path = path_, .format = *find_format(GetParam()), .size = kCachedDisk}));
    write(0, test::noise(300'000, 1));
  }

  FilePtr cache_file() const {
    if (!std::filesystem::exists(cache_)) return *PosixFile::create(cache_);
    return *PosixFile::open(cache_, Access::write);
  }
  Result<std::unique_ptr<Container>> open(Access access, bool cached = true) const {
    ContainerOptions options{.format = GetParam(), .access = access, .lock = true};
    options.writer.flush_every_ms = 0;
    if (cached) {
      options.cache_file = cache_file();
      options.cache_size = kMinCacheSize;
    }
    return Container::open(path_, options);
  }
  static std::vector<std::byte> read(const Container& container) {
    std::vector<std::byte> out(400'000);
    const Layout::Request request(container.layout());
    EXPECT_TRUE(request.view().read(0, out));
    return out;
  }
  // By itself, and without the cache.
  void write(uint64_t offset, const std::vector<std::byte>& bytes, bool cached = false) {
    const auto container = open(Access::write, cached);
    ASSERT_TRUE(container) << container.error().message();
    ASSERT_TRUE((*container)->writer()->write(offset, bytes));
    ASSERT_TRUE((*container)->writer()->close());
  }
  // Reads it through the cache, and compares; what the cache's numbers are then.
  ReadCache::Numbers look(Access access) {
    const auto wanted = read(**open(Access::read, false));
    const auto container = open(access);
    EXPECT_TRUE(container) << container.error().message();
    EXPECT_TRUE(same(read(**container), wanted));
    EXPECT_TRUE(same(read(**container), wanted));
    return (*container)->cache()->numbers();
  }

  const test::TempDir dir_;
  const std::string path_ = dir_ / "disk", cache_ = dir_ / "disk.vci";
};

INSTANTIATE_TEST_SUITE_P(Formats, ContainerCache, testing::ValuesIn(formats()),
                         [](const auto& test) { return test.param; });

TEST_P(ContainerCache, CountsAgainWhenNothingHasChanged) {
  EXPECT_GT(look(Access::read).misses, 0U);
  for (const Access access : {Access::read, Access::write, Access::read}) {
    const ReadCache::Numbers n = look(access);
    EXPECT_EQ(n.emptied, "");
    EXPECT_LE(n.misses, 2 * 100'000U) << "holes are not kept";
    EXPECT_GE(n.hits, 2 * 300'000U);
  }
}

TEST_P(ContainerCache, CountsAgainAfterASessionThatWroteThroughIt) {
  (void)look(Access::read);
  write(100'000, test::noise(50'000, 2), true);
  const ReadCache::Numbers n = look(Access::write);
  EXPECT_EQ(n.emptied, "");
  EXPECT_GE(n.hits, 2 * 290'000U);
}

TEST_P(ContainerCache, IsEmptiedWhenTheDiskWasChangedWithoutIt) {
  (void)look(Access::read);
  write(100'000, test::noise(1, 3));
  EXPECT_EQ(look(Access::read).emptied, "the disk is not what it was then");
}

TEST_P(ContainerCache, IsEmptiedAfterAKill) {
  (void)look(Access::read);
  {
    const auto container = open(Access::write);
    ASSERT_TRUE(container);
    (void)read(**container);
    ASSERT_TRUE((*container)->writer()->write(5, test::noise(5000, 4)));
    std::filesystem::copy_file(cache_, dir_ / "as it was");
  }
  std::filesystem::rename(dir_ / "as it was", cache_);
  EXPECT_EQ(look(Access::read).emptied, "it was not closed");
}

TEST_P(ContainerCache, DoesNotCountAfterWritesThatWereNeverFlushed) {
  (void)look(Access::read);
  {
    const auto container = open(Access::write);
    ASSERT_TRUE((*container)->writer()->write(5, test::noise(5000, 5)));
  }
  EXPECT_EQ(look(Access::read).emptied, "it was not closed");
}

TEST_P(ContainerCache, FollowsAResize) {
  if (!find_format(GetParam())->can_resize()) return;
  (void)look(Access::read);
  const auto container = open(Access::write);
  ASSERT_TRUE(container);
  const auto before = read(**container);
  ASSERT_TRUE((*container)->writer()->grow(kCachedDisk + 5 * MiB));
  EXPECT_TRUE(same(read(**container), before));
  EXPECT_GE((*container)->live()->size(), kCachedDisk + 5 * MiB);
  std::vector<std::byte> end(MiB, std::byte{1});
  ASSERT_TRUE((*container)->live()->read(kCachedDisk + 4 * MiB, end));
  EXPECT_TRUE(same(end, std::vector<std::byte>(MiB)));
}

class CacheOfAChain : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(create_image({.path = base_, .format = *find_format("vdi"), .size = kCachedDisk}));
    put(base_, 0, 1, {});
  }
  void put(const std::string& path, uint64_t offset, uint64_t seed, const Overlay& overlay) {
    auto container = open(path, Access::write, false, overlay);
    ASSERT_TRUE(container) << container.error().message();
    ASSERT_TRUE((*container)->writer()->write(offset, test::noise(200'000, seed)));
    ASSERT_TRUE((*container)->writer()->close());
  }
  Result<std::unique_ptr<Container>> open(const std::string& path, Access access, bool cached,
                                          const Overlay& overlay = {}, std::string state = {}) {
    ContainerOptions options{
        .snapshot = std::move(state), .access = access, .lock = true, .overlay = overlay};
    if (cached) {
      options.cache_file =
          *(std::filesystem::exists(cache_) ? PosixFile::open(cache_, Access::write)
                                            : PosixFile::create(cache_));
      options.cache_size = kMinCacheSize;
    }
    return Container::open(path, options);
  }
  Overlay new_overlay(const std::string& path) {
    const Format& qcow2 = *find_format("qcow2");
    const auto parent = describe_parent(
        {.path = base_, .child = path, .child_format = &qcow2, .found_anyway = true});
    EXPECT_TRUE(parent);
    EXPECT_TRUE(create_image(
        {.path = path, .format = qcow2, .size = parent->size, .parent = parent->link}));
    return {*PosixFile::open(path, Access::write), &qcow2};
  }
  const test::TempDir dir_;
  const std::string base_ = dir_ / "base.vdi", cache_ = dir_ / "c.vci";
};

// Overlays come and go; what they lie on stays.
TEST_F(CacheOfAChain, IsOfWhatAnOverlayLiesOn) {
  const auto base = test::noise(200'000, 1);
  for (int i = 0; i < 2; ++i) {
    const Overlay overlay = new_overlay(dir_ / ("over" + std::to_string(i)));
    const auto container = open(base_, Access::write, true, overlay);
    ASSERT_TRUE(container) << container.error().message();
    auto wanted = base;
    const auto written = test::noise(70'000, 9);
    ASSERT_TRUE((*container)->writer()->write(10'000, written));
    std::copy(written.begin(), written.end(), wanted.begin() + 10'000);
    std::vector<std::byte> out(base.size());
    for (int k = 0; k < 2; ++k) {
      ASSERT_TRUE((*container)->live()->read(0, out));
      EXPECT_TRUE(same(out, wanted));
    }
    EXPECT_EQ((*container)->cache()->numbers().emptied, "");
    if (i == 1) {
      EXPECT_EQ((*container)->cache()->numbers().misses, 0U);
    }
    ASSERT_TRUE((*container)->writer()->close());
  }
}

TEST_F(CacheOfAChain, IsOfOneStateOfTheDisk) {
  const std::string disk = dir_ / "d.qcow2";
  ASSERT_TRUE(create_image({.path = disk, .format = *find_format("qcow2"), .size = kCachedDisk}));
  put(disk, 0, 1, {});
  {
    const auto container = open(disk, Access::write, false);
    ASSERT_TRUE((*container)->change_snapshots({.name = "then"}));
  }
  put(disk, 0, 2, {});
  std::string before = "none";
  for (const std::string state : {"", "then", "then", ""}) {
    const auto container = open(disk, Access::read, true, {}, state);
    ASSERT_TRUE(container) << container.error().message();
    const ReadCache::Numbers n = (*container)->cache()->numbers();
    EXPECT_EQ(n.emptied.empty(), before == state || before == "none") << state;
    before = state;
    std::vector<std::byte> out(200'000);
    ASSERT_TRUE((*container)->live()->read(0, out));
    EXPECT_TRUE(same(out, test::noise(200'000, state.empty() ? 2 : 1))) << state;
  }
}

TEST_F(CacheOfAChain, ShowsTheDiskASnapshotWasAppliedTo) {
  const std::string disk = dir_ / "d.qcow2";
  ASSERT_TRUE(create_image({.path = disk, .format = *find_format("qcow2"), .size = kCachedDisk}));
  put(disk, 0, 1, {});
  const auto container = open(disk, Access::write, true);
  ASSERT_TRUE((*container)->change_snapshots({.name = "then"}));
  ASSERT_TRUE((*container)->writer()->write(0, test::noise(200'000, 2)));
  std::vector<std::byte> out(200'000);
  ASSERT_TRUE((*container)->live()->read(0, out));
  EXPECT_TRUE(same(out, test::noise(200'000, 2)));
  const SnapshotId id = (*container)->states().front().snapshot.id;
  ASSERT_TRUE((*container)->change_snapshots({.what = SnapshotRequest::What::apply, .id = id}));
  ASSERT_TRUE((*container)->live()->read(0, out));
  EXPECT_TRUE(same(out, test::noise(200'000, 1)));
}

TEST_F(CacheOfAChain, IsNotMadeOfADiskThatOthersMayChange) {
  ContainerOptions options{.cache_file = *PosixFile::create(cache_)};
  const auto container = Container::open(base_, options);
  ASSERT_FALSE(container);
  EXPECT_THAT(container.error().message(), HasSubstr("lock=on"));
}

TEST_F(CacheOfAChain, IsOneContainersAlone) {
  const auto first = open(base_, Access::read, true);
  ASSERT_TRUE(first);
  const auto second = open(base_, Access::read, true);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Errc::busy);
}

TEST_F(CacheOfAChain, IsNotMadeOfItsOwnImage) {
  ContainerOptions options{.lock = true};
  options.cache_file = *PosixFile::open(base_, Access::write);
  const std::string before = test::read_file(base_);
  EXPECT_FALSE(Container::open(base_, options));
  EXPECT_EQ(test::read_file(base_), before);
}

}  // namespace
}  // namespace platter
