// Everything a user without any privilege does, by fusermount3.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;
namespace fs = std::filesystem;

constexpr uid_t kUser = 65534;  // nobody, in Debian

class Rootless : public testing::Test {
 protected:
  // The programs may lie where that user cannot look.
  void SetUp() override {
    for (const char* name : {"platter", "platterfs"}) {
      fs::copy_file(program(name), home_ / name);
      ASSERT_EQ(chmod((home_ / name).c_str(), 0755), 0);
    }
    fs::create_directory(point_);
    if (geteuid() != 0) return;
    // Everybody may open it where udev made it.
    mode_ = stat_path("/dev/fuse").st_mode & 07777U;
    ASSERT_EQ(chmod("/dev/fuse", 0666), 0);
    for (const std::string& path : {home_.path(), point_}) {
      ASSERT_EQ(chown(path.c_str(), kUser, kUser), 0);
    }
  }
  ~Rootless() override {
    if (mode_ != 0) (void)chmod("/dev/fuse", mode_);
    if (!mount_entry(point_).type.empty()) (void)run({"fusermount3", "-u", "-z", point_});
  }
  // By that user, or by whoever runs the tests when that is not root.
  Outcome user(std::vector<std::string> words) const {
    std::vector<std::string> command;
    if (geteuid() == 0) {
      command = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"};
    }
    const std::vector<std::string> clean = {"env", "--chdir=" + home_.path(),
                                            "TMPDIR=" + home_.path()};
    command.insert(command.end(), clean.begin(), clean.end());
    command.insert(command.end(), words.begin(), words.end());
    return run(command);
  }
  Outcome shell(const std::string& script) const { return user({"sh", "-euc", script}); }

  mode_t mode_ = 0;  // of /dev/fuse; 0: left as it is
  const TempDir home_;
  const std::string point_ = home_ / "mnt";
};

TEST_F(Rootless, MountsWritesTakesASnapshotAndUnmounts) {
  const Outcome done = shell(
      "./platter create -q -f qcow2 disk.qcow2 16M\n"
      "./platterfs disk.qcow2 mnt\n"
      "echo first > words; dd if=words of=mnt/disk.raw conv=notrunc,fsync status=none\n"
      "mkdir mnt/snapshots/before\n"
      "echo later > words; dd if=words of=mnt/disk.raw conv=notrunc,fsync status=none\n"
      "head -n 1 mnt/disk.raw; head -n 1 mnt/snapshots/before/disk.raw\n"
      "./platter umount mnt\n"
      "./platter check -q disk.qcow2\n");
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, "later\nfirst\n");
  EXPECT_EQ(done.err, "");
  EXPECT_EQ(mount_entry(point_).type, "");
}

TEST_F(Rootless, TheMountIsForItsUserAlone) {
  if (geteuid() != 0) GTEST_SKIP() << "there is no other user to try it with";
  ASSERT_EQ(shell("./platter create -q -f qcow2 disk.qcow2 16M; ./platterfs disk.qcow2 mnt").status,
            0);
  EXPECT_EQ(access((point_ + "/disk.raw").c_str(), F_OK), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(shell("./platter umount mnt").status, 0);
}

TEST_F(Rootless, AnOverlayKeepsAnImageThatMayOnlyBeRead) {
  ASSERT_EQ(shell("./platter create -q -f qcow2 disk.qcow2 16M; chmod 0444 disk.qcow2").status, 0);
  const Outcome done = shell(
      "./platterfs -o overlay disk.qcow2 mnt\n"
      "echo kept | dd of=mnt/disk.raw conv=notrunc,fsync status=none\n"
      "head -n 1 mnt/disk.raw\n"
      "./platter umount mnt\n");
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, "kept\n");
}

TEST_F(Rootless, IsToldInOneLineWhatIsNotAllowed) {
  ASSERT_EQ(shell("./platter create -q -f qcow2 disk.qcow2 16M").status, 0);
  fs::create_directory(home_ / "others");
  const Outcome place = shell("./platterfs disk.qcow2 /proc/sys");
  EXPECT_EQ(place.status, 1);
  EXPECT_EQ(std::ranges::count(place.err, '\n'), 1) << place.err;
  if (geteuid() != 0) return;
  ASSERT_EQ(chown((home_ / "disk.qcow2").c_str(), 0, 0), 0);
  ASSERT_EQ(chmod((home_ / "disk.qcow2").c_str(), 0600), 0);
  const Outcome image = shell("./platterfs disk.qcow2 mnt");
  EXPECT_EQ(image.status, 1);
  EXPECT_EQ(image.err, "platterfs: disk.qcow2: cannot open: Permission denied\n");
}

}  // namespace
}  // namespace platter::fusefs
