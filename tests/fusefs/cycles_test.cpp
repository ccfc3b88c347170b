// Mounted and unmounted, opened and closed, again and again: nothing is left behind.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/mount.h"
#include "tests/support/rounds.h"
#include "tests/support/temp_dir.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;
namespace fs = std::filesystem;

size_t entries_in(const std::string& directory) {
  std::error_code error;
  size_t count = 0;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    ++count;
  }
  return count;
}

uint64_t resident_kib(pid_t pid) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
  const size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::stoul(status.substr(at + 6));
}

void read_start(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[4096];
  EXPECT_GT(read(file.get(), bytes, sizeof bytes), 0) << path;
}

class Cycles : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run({program("platter"), "create", "-q", "-f", "qcow2", image_, "64M"}).status, 0);
    fs::create_directory(point_);
  }
  ~Cycles() override {
    if (!mount_entry(point_).type.empty()) (void)run({"fusermount3", "-u", "-z", point_});
  }
  const TempDir dir_;
  const std::string image_ = dir_ / "disk.qcow2", point_ = dir_ / "mnt";
};

TEST_F(Cycles, OfMountAndUnmountLeaveNoMountNoConnectionAndNoLock) {
  const std::string connections = "/sys/fs/fuse/connections";
  const size_t before = entries_in(connections);
  for (uint64_t i = 0; i < rounds(40, 10'000); ++i) {
    const Outcome mounted = run({program("platterfs"), image_, point_});
    ASSERT_EQ(mounted.status, 0) << i << ": " << mounted.err;
    {
      const Descriptor disk(open((point_ + "/disk.raw").c_str(), O_RDWR | O_CLOEXEC));
      ASSERT_EQ(pwrite(disk.get(), &i, sizeof i, static_cast<off_t>(i * 4096)), 8) << i;
    }
    const Outcome ended = run({program("platter"), "umount", point_});
    ASSERT_EQ(ended.status, 0) << i << ": " << ended.err;
    ASSERT_EQ(mount_entry(point_).type, "") << i;
  }
  EXPECT_LE(entries_in(connections), before);
  EXPECT_EQ(run({program("platter"), "check", "-q", image_}).status, 0);
  EXPECT_EQ(run({program("platter"), "resize", "-q", image_, "+1M"}).status, 0);
}

TEST_F(Cycles, OfOpenAndCloseLeaveNoDescriptorAndNoMemory) {
  const Mount mount(image_);
  ASSERT_TRUE(mount.mounted());
  const auto look_around = [&] {
    for (const char* name : {"disk.raw", "info.json"}) read_start(mount / name);
    (void)entries_in(mount / "snapshots");
  };
  const std::string descriptors = "/proc/" + std::to_string(mount.pid()) + "/fd";
  for (int i = 0; i < 200; ++i) look_around();
  const size_t open_before = entries_in(descriptors);
  const uint64_t memory_before = resident_kib(mount.pid());
  for (uint64_t i = 0; i < rounds(2'000, 100'000); ++i) look_around();
  // A thread that starts late has one of its own.
  EXPECT_LE(entries_in(descriptors), open_before + 8);
  EXPECT_LE(resident_kib(mount.pid()), memory_before + 1024);
}

}  // namespace
}  // namespace platter::fusefs
