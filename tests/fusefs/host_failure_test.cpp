// The host's filesystem fails under an image that is written: it is full, or it is gone.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/container/container.h"
#include "lib/io/posix_file.h"
#include "tests/support/created_image.h"
#include "tests/support/file_tree.h"
#include "tests/support/mount.h"
#include "tests/support/test_keys.h"

namespace platter::fusefs {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace platter::test;

constexpr size_t kSize = 24 * MiB;
constexpr size_t kPiece = 16 * KiB;

Descriptor open_disk(const Mount& mount, int flags = O_RDWR) {
  Descriptor fd(open((mount / "disk.raw").c_str(), flags | O_CLOEXEC));
  EXPECT_TRUE(fd) << strerror(errno);
  return fd;
}

bool put(int fd, size_t at, const std::string& bytes) {
  return pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
         static_cast<ssize_t>(bytes.size());
}

// An image on a filesystem of 8 MiB.
class SmallHost : public testing::TestWithParam<HowMade> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root for a small filesystem";
    mkdir(small_.c_str(), 0755);
    if (mount("none", small_.c_str(), "tmpfs", 0, "size=8m") != 0) {
      GTEST_SKIP() << "may not mount a small filesystem here";
    }
  }
  void TearDown() override { umount2(small_.c_str(), MNT_DETACH); }

  static std::string piece(size_t at) { return file_contents(at, kPiece); }
  // Up to the first that fails: where that was.
  static size_t write_pieces(int fd, size_t at) {
    while (at < kSize && put(fd, at, piece(at))) at += kPiece;
    return at;
  }
  static bool has_pieces(const std::string& disk, size_t end) {
    for (size_t at = 0; at < end; at += kPiece) {
      if (disk.compare(at, kPiece, piece(at)) != 0) return false;
    }
    return true;
  }

  TempDir dir_;
  const std::string small_ = dir_ / "small";
};

INSTANTIATE_TEST_SUITE_P(Images, SmallHost, testing::ValuesIn(sparse_ways_to_make()),
                         testing::PrintToStringParamName());

TEST_P(SmallHost, TellsTheWriterLosesNothingAndGoesOnOnceThereIsSpace) {
  const CreatedImage image(GetParam(), small_, kSize);
  Mount full(image.path(), image.options());
  ASSERT_TRUE(full.mounted());
  full.expect_messages();
  const Descriptor fd = open_disk(full);
  const size_t end = write_pieces(fd.get(), 0);
  ASSERT_LT(end, kSize);
  EXPECT_EQ(errno, ENOSPC);
  // Tables may find no space either; then the fsync says so.
  EXPECT_TRUE(fsync(fd.get()) == 0 || errno == ENOSPC);
  EXPECT_TRUE(has_pieces(read_file(full / "disk.raw"), end));
  ASSERT_EQ(mount("none", small_.c_str(), "tmpfs", MS_REMOUNT, "size=80m"), 0);
  EXPECT_EQ(write_pieces(fd.get(), end), kSize);
  EXPECT_EQ(fsync(fd.get()), 0);
  kill(full.pid(), SIGKILL);
  full.wait_for_end();
  EXPECT_EQ(image.fault(), "");
  const Mount again(image.path(), image.options());
  ASSERT_TRUE(again.mounted());
  EXPECT_TRUE(has_pieces(read_file(again / "disk.raw"), kSize));
}

TEST_P(SmallHost, KeepsWhatWasSyncedWhenItEndsInThatState) {
  const CreatedImage image(GetParam(), small_, kSize);
  size_t synced = 0;
  {
    Mount full(image.path(), image.options());
    ASSERT_TRUE(full.mounted());
    full.expect_messages();
    const Descriptor fd = open_disk(full);
    while (put(fd.get(), synced, piece(synced)) && fsync(fd.get()) == 0) synced += kPiece;
    EXPECT_EQ(errno, ENOSPC);
    ASSERT_GT(synced, 0u);
  }
  EXPECT_EQ(image.fault(), "");
  const Mount again(image.path(), image.options({"-oro"}));
  ASSERT_TRUE(again.mounted());
  EXPECT_TRUE(has_pieces(read_file(again / "disk.raw"), synced));
}

// An image in the disk of another mount: when that is killed, the image's host is gone.
class LostHost : public testing::TestWithParam<HowMade> {
 protected:
  LostHost() {
    std::string bytes = read_file(image_.path());
    bytes.resize(kSize + 4 * MiB);
    write_file(host_, bytes);
  }
  std::string path_on(const Mount& host) const { return host / "disk.raw"; }
  // A qcow only ever takes space at the end of its file.
  static std::vector<std::string> host_options() { return {"-oformat=raw", "-oresize"}; }

  TempDir dir_;
  const CreatedImage image_{GetParam(), dir_.path(), kSize};
  const std::string host_ = dir_ / "host.img";
};

// A parent would have to lie beside it.
INSTANTIATE_TEST_SUITE_P(Images, LostHost, testing::ValuesIn(bases_to_make()),
                         testing::PrintToStringParamName());

TEST_P(LostHost, EverySyncFailsAndSoDoesTheEnd) {
  const std::string before = file_contents(1, 3 * MiB), after = file_contents(2, 2 * MiB);
  {
    Mount host(host_, host_options());
    ASSERT_TRUE(host.mounted());
    Mount mount(path_on(host), image_.options());
    ASSERT_TRUE(mount.mounted());
    mount.expect_messages();
    Descriptor fd = open_disk(mount);
    ASSERT_TRUE(put(fd.get(), 1 * MiB, before));
    ASSERT_EQ(fsync(fd.get()), 0);
    ASSERT_TRUE(put(fd.get(), 10 * MiB, after));
    kill(host.pid(), SIGKILL);
    host.wait_for_end();
    host.abort_connection();
    EXPECT_NE(fsync(fd.get()), 0);
    EXPECT_NE(fdatasync(fd.get()), 0);
    EXPECT_NE(close(dup(fd.get())), 0);
    EXPECT_EQ(run({program("platter"), "umount", mount.path()}).status, 1);
    EXPECT_NE(mount_entry(mount.path()).type, "");
    fd = Descriptor();
    ASSERT_EQ(umount2(mount.path().c_str(), 0), 0) << strerror(errno);
    EXPECT_EQ(mount.wait_for_end(), 1);
    EXPECT_THAT(mount.messages(), AllOf(StartsWith("platterfs: "), HasSubstr(path_on(host))));
  }
  const Mount host(host_, host_options());
  ASSERT_TRUE(host.mounted());
  const Mount mount(path_on(host), image_.options());
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw").compare(1 * MiB, before.size(), before) == 0);
}

// What nobody syncs.
class Unsynced : public testing::TestWithParam<HowMade> {
 protected:
  TempDir dir_;
  const CreatedImage image_{GetParam(), dir_.path(), kSize};
};

INSTANTIATE_TEST_SUITE_P(Images, Unsynced, testing::ValuesIn(ways_to_make()),
                         testing::PrintToStringParamName());

TEST_P(Unsynced, IsInTheImageSecondsLater) {
  Mount mount(image_.path(), image_.options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  const std::string bytes = file_contents(3, 2 * MiB);
  ASSERT_TRUE(put(fd.get(), 5 * MiB, bytes));
  EXPECT_TRUE(comes_true([&] {
    const auto container =
        Container::open(image_.path(), {.format = GetParam().format, .keys = test_keys()});
    std::string found(bytes.size(), '\0');
    return container &&
           (*container)
               ->live()
               ->read(5 * MiB, std::as_writable_bytes(std::span(found.data(), found.size()))) &&
           found == bytes;
  }));
}

// The kernel hands on the pages that a mapping dirtied and asks for no flush, nor does it wait: it
// never relies on the programs behind FUSE mounts.
TEST_P(Unsynced, AMappingReachesTheProgramWithSyncfs) {
  const Mount mount(image_.path(), image_.options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  void* const map = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  memset(static_cast<char*>(map) + 7 * MiB, 'm', 100000);
  ASSERT_EQ(syncfs(fd.get()), 0);
  EXPECT_TRUE(comes_true([&] {
    const auto live = nlohmann::json::parse(read_file(mount / "info.json"))["live"];
    return live["bytes_written"].get<size_t>() >= 100000;
  }));
  munmap(map, kSize);
}

}  // namespace
}  // namespace platter::fusefs
