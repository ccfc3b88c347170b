// A filesystem inside a partition, through the kernel's loop device.
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

// A disk with an ext4 in partition 1 that holds hello.txt and a large file.
class PartitionedExt4 : public testing::Test {
 protected:
  void SetUp() override {
    mkdir((dir_ / "tree").c_str(), 0755);
    write_file(dir_ / "tree/hello.txt", "hello from inside\n");
    write_file(dir_ / "tree/large", pattern(200 * KiB));
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
  EXPECT_TRUE(read_file(dir_ / "loop/large") == pattern(200 * KiB));
  EXPECT_EQ(run({"umount", dir_ / "loop"}).status, 0);
}

}  // namespace
}  // namespace platter::fusefs
