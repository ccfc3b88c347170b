// A filesystem inside a partition, through the kernel's loop device.
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

// A disk with an ext4 in partition 1 that holds hello.txt and a large file.
class PartitionedExt4 : public testing::Test {
 protected:
  void SetUp() override {
    mkdir((dir_ / "tree").c_str(), 0755);
    write_file(dir_ / "tree/hello.txt", "hello from inside\n");
    write_file(dir_ / "tree/large", sector_text(200 * KiB));
    const std::string offset = "offset=" + std::to_string(kFirstPartition.offset);
    write_file(dir_ / "disk.img", partitioned_disk());
    const Outcome made = run({"mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-b",
                              "1024", "-d", dir_ / "tree", "-E", offset, dir_ / "disk.img",
                              std::to_string(kFirstPartition.length / 1024) + "k"});
    ASSERT_EQ(made.status, 0) << made.err;
    mkdir((dir_ / "loop").c_str(), 0755);
  }
  TempDir dir_;
};

TEST_F(PartitionedExt4, IsReadWithDebugfs) {
  const Mount mount(dir_ / "disk.img");
  ASSERT_TRUE(mount.mounted());
  const Outcome cat = run({"debugfs", "-R", "cat hello.txt", mount / "partitions/1.raw"});
  EXPECT_EQ(cat.out, "hello from inside\n") << cat.err;
}

TEST_F(PartitionedExt4, IsReadThroughALoopMount) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for a loop device";
  if (access("/dev/loop-control", F_OK) != 0) GTEST_SKIP() << "the host has no loop devices";
  const Mount mount(dir_ / "disk.img");
  ASSERT_TRUE(mount.mounted());
  const Outcome looped = run({"mount", "-o", "loop,ro", mount / "partitions/1.raw", dir_ / "loop"});
  if (looped.status != 0) GTEST_SKIP() << "no loop mount here: " << looped.err;
  EXPECT_EQ(read_file(dir_ / "loop/hello.txt"), "hello from inside\n");
  EXPECT_TRUE(read_file(dir_ / "loop/large") == sector_text(200 * KiB));
  EXPECT_EQ(run({"umount", dir_ / "loop"}).status, 0);
}

// A filesystem made and filled through a loop device over a file of a mount that is written.
class WrittenExt4 : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root for a loop device";
    if (access("/dev/loop-control", F_OK) != 0) GTEST_SKIP() << "the host has no loop devices";
    mkdir((dir_ / "loop").c_str(), 0755);
    mkdir((dir_ / "tree").c_str(), 0755);
    for (unsigned i = 0; i < 60; ++i) {
      write_file(dir_ / "tree/" + std::to_string(i), sector_text(i * 397, i));
    }
  }
  // In partition 1, or on the whole disk.
  std::string device() const { return GetParam() == "partition" ? "partitions/1.raw" : "disk.raw"; }
  TempDir dir_;
  WritableImage image_{GetParam() == "partition" ? "raw" : GetParam(), dir_.path()};
};

INSTANTIATE_TEST_SUITE_P(Images, WrittenExt4, testing::Values("raw", "vdi", "child", "partition"),
                         [](const auto& param) { return param.param; });

TEST_P(WrittenExt4, IsCleanAndHasItsFilesAfterARemount) {
  const std::string parent = image_.parent.empty() ? "" : read_file(image_.parent);
  {
    const Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    if (GetParam() == "partition") {
      // One partition of 3.5 MiB.
      const std::string entry("\0\0\0\0\x83\0\0\0\x40\0\0\0\0\x1c\0\0", 16);
      write_file(mount / "disk.raw",
                 std::string(446, '\0') + entry + std::string(48, '\0') + "\x55\xaa");
    }
    const Outcome looped = run({"losetup", "--find", "--show", mount / device()});
    if (looped.status != 0) GTEST_SKIP() << "no loop device here: " << looped.err;
    const std::string loop = looped.out.substr(0, looped.out.find('\n'));
    const Outcome made = run({"mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "^has_journal", loop});
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(run({"mount", loop, dir_ / "loop"}).status, 0);
    EXPECT_EQ(run({"cp", "-r", dir_ / "tree", dir_ / "loop/tree"}).status, 0);
    EXPECT_EQ(run({"fstrim", dir_ / "loop"}).status, 0);
    EXPECT_EQ(run({"umount", dir_ / "loop"}).status, 0);
    EXPECT_EQ(run({"losetup", "--detach", loop}).status, 0);
  }
  EXPECT_EQ(image_.check().corruptions, 0u);
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Outcome checked = run({"e2fsck", "-f", "-n", mount / device()});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  ASSERT_EQ(run({"mount", "-o", "loop,ro", mount / device(), dir_ / "loop"}).status, 0);
  const Outcome compared = run({"diff", "-r", dir_ / "tree", dir_ / "loop/tree"});
  EXPECT_EQ(compared.status, 0) << compared.out << compared.err;
  EXPECT_EQ(run({"umount", dir_ / "loop"}).status, 0);
  EXPECT_TRUE(parent.empty() || read_file(image_.parent) == parent);
}

}  // namespace
}  // namespace platter::fusefs
