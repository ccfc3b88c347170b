// A filesystem of ten thousand files on a loop device over a mount, before and after a remount.
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/created_image.h"
#include "tests/support/file_tree.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/sha256.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;
using namespace std::chrono_literals;

// The smallest that mkfs.xfs makes is of 300 MiB.
constexpr uint64_t kSize = 320 * MiB;
constexpr unsigned kFiles = 10000;
constexpr auto kLimit = 150s;

struct Where {
  HowMade how;
  std::string filesystem, device;
};

void PrintTo(const Where& where, std::ostream* out) { *out << where.how.name; }

// Every image with every filesystem; children, where most is at stake, through a partition too.
std::vector<Where> everywhere() {
  std::vector<Where> all;
  for (const HowMade& how : ways_to_make()) {
    for (const char* filesystem : {"ext4", "xfs"}) all.push_back({how, filesystem, "disk.raw"});
    if (how.child) all.push_back({how, "ext4", "partitions/1.raw"});
  }
  return all;
}

class FilesystemOn : public testing::TestWithParam<Where> {
 protected:
  void SetUp() override {
    if (const std::string reason = no_loop_devices(); !reason.empty()) GTEST_SKIP() << reason;
    if (!kind_.available()) GTEST_SKIP() << "there is no mkfs." << kind_.name;
  }
  // One partition, from sector 2048 to the end of the disk.
  static void partition(const Mount& mount) {
    const uint32_t sectors = kSize / 512 - 2048;
    std::string entry("\0\0\0\0\x83\0\0\0\0\x08\0\0", 12);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      entry += static_cast<char>(sectors >> shift & 0xffU);
    }
    write_file(mount / "disk.raw",
               std::string(446, '\0') + entry + std::string(48, '\0') + "\x55\xaa");
  }
  // Makes the filesystem and the tree in it, and another that is deleted again.
  void write_tree(const Mount& mount) const {
    const LoopDevice loop(mount / GetParam().device);
    ASSERT_EQ(kind_.make(loop.path()), "");
    MountedFilesystem filesystem(loop.path(), kind_.name, dir_ / "files");
    ASSERT_EQ(filesystem.error(), "");
    const FileTree gone{filesystem.path() + "/gone", kFiles / 10, 2};
    EXPECT_EQ(gone.write(), "");
    EXPECT_EQ(tree_.write(), "");
    EXPECT_EQ(run({"rm", "-r", gone.root}).status, 0);
    EXPECT_EQ(run({"fstrim", filesystem.path()}).status, 0);
    filesystem.unmount();
    EXPECT_EQ(kind_.fault(loop.path()), "");
  }

  TempDir dir_;
  const FilesystemKind kind_{GetParam().filesystem};
  const CreatedImage image_{GetParam().how, dir_.path(), kSize};
  const FileTree tree_{dir_ / "files/tree", kFiles, 1};
};

INSTANTIATE_TEST_SUITE_P(Images, FilesystemOn, testing::ValuesIn(everywhere()),
                         [](const auto& param) {
                           const Where& where = param.param;
                           return where.how.name + "_" + where.filesystem +
                                  (where.device == "disk.raw" ? "" : "_partition");
                         });

TEST_P(FilesystemOn, HasAllOfTenThousandFilesAfterARemount) {
  const std::string parent = image_.parent().empty() ? "" : sha256_of_file(image_.parent());
  {
    const Mount mount(image_.path(), image_.options(), kLimit);
    ASSERT_TRUE(mount.mounted());
    if (GetParam().device != "disk.raw") partition(mount);
    write_tree(mount);
    const Outcome unmounted = run({program("platter"), "umount", mount.path()});
    EXPECT_EQ(unmounted.status, 0) << unmounted.err;
  }
  EXPECT_EQ(image_.fault(), "");
  {
    const Mount mount(image_.path(), image_.options(), kLimit);
    ASSERT_TRUE(mount.mounted());
    const LoopDevice loop(mount / GetParam().device);
    EXPECT_EQ(kind_.fault(loop.path()), "");
    MountedFilesystem filesystem(loop.path(), kind_.name, dir_ / "files", "ro");
    ASSERT_EQ(filesystem.error(), "");
    EXPECT_EQ(tree_.difference(), "");
    filesystem.unmount();
  }
  EXPECT_TRUE(parent.empty() || sha256_of_file(image_.parent()) == parent);
}

}  // namespace
}  // namespace platter::fusefs
