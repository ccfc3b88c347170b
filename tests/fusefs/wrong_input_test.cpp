// Wrong input of every kind: one line that names the file and the reason, a status that is not 0,
// and every file as it was.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace platter::test;

class WrongInput : public testing::Test {
 protected:
  WrongInput() { mkdir(mountpoint_.c_str(), 0755); }

  // before: a command that runs platterfs in other circumstances.
  void expect_refused(const std::string& image, const std::string& named, const std::string& reason,
                      const std::vector<std::string>& before = {}) {
    const Outcome outcome = mount(image, before);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, StartsWith("platterfs: "));
    EXPECT_THAT(outcome.err, HasSubstr(named));
    EXPECT_THAT(outcome.err, HasSubstr(reason));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(mount_entry(mountpoint_).type, "");
  }
  void expect_refused_untouched(const std::string& image, const std::string& reason) {
    const std::string contents = read_file(image);
    struct stat before = {}, after = {};
    ASSERT_EQ(stat(image.c_str(), &before), 0);
    expect_refused(image, image, reason);
    ASSERT_EQ(stat(image.c_str(), &after), 0);
    EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    EXPECT_TRUE(read_file(image) == contents);
  }
  Outcome mount(const std::string& image, const std::vector<std::string>& before = {}) const {
    std::vector<std::string> command = before;
    command.insert(command.end(), {program("platterfs"), image, mountpoint_});
    return run(command);
  }

  TempDir dir_;
  std::string mountpoint_ = dir_ / "mnt";
};

TEST_F(WrongInput, AMissingImage) {
  expect_refused(dir_ / "none.img", dir_ / "none.img", "No such file or directory");
}

TEST_F(WrongInput, AnEmptyImage) {
  write_file(dir_ / "a.qcow2", "");
  expect_refused_untouched(dir_ / "a.qcow2", "is empty");
}

TEST_F(WrongInput, ATruncatedImage) {
  write_overlay(dir_ / "a.qcow2", "");
  ASSERT_EQ(truncate((dir_ / "a.qcow2").c_str(), 50), 0);
  expect_refused_untouched(dir_ / "a.qcow2", "header");
}

TEST_F(WrongInput, AnImageOfAFormatThatIsNotRead) {
  write_file(dir_ / "a.Ex01", std::string("EVF2\x0d\x0a\x81\0", 8) + std::string(1020, '\1'));
  expect_refused_untouched(dir_ / "a.Ex01", "EWF");
}

TEST_F(WrongInput, AnL1TablePastTheEndOfTheFile) {
  write_overlay(dir_ / "a.qcow2", "");
  std::string bytes = read_file(dir_ / "a.qcow2");
  bytes.replace(40, 8, std::string("\0\0\0\x10\0\0\0\0", 8));
  write_file(dir_ / "a.qcow2", bytes);
  expect_refused_untouched(dir_ / "a.qcow2", "L1 table");
}

TEST_F(WrongInput, AChainThatIsALoop) {
  write_overlay(dir_ / "a.qcow2", "b.qcow2", "qcow2");
  write_overlay(dir_ / "b.qcow2", "a.qcow2", "qcow2");
  expect_refused_untouched(dir_ / "a.qcow2", "loop");
}

TEST_F(WrongInput, AChainOfSixHundredImages) {
  write_chain(dir_.path(), 600);
  expect_refused(dir_ / "0.qcow2", ".qcow2", "deeper than the limit");
}

TEST_F(WrongInput, AParentThatIsMissing) {
  write_overlay(dir_ / "a.qcow2", "gone.img", "raw");
  expect_refused_untouched(dir_ / "a.qcow2", "gone.img");
}

TEST_F(WrongInput, AParentThatIsAFileOfTheSystem) {
  write_overlay(dir_ / "a.qcow2", "/etc/passwd", "raw");
  expect_refused_untouched(dir_ / "a.qcow2", "references=any");
}

TEST_F(WrongInput, AParentAboveTheDirectory) {
  write_file(dir_ / "x", sector_text(4096));
  mkdir((dir_ / "sub").c_str(), 0755);
  write_overlay(dir_ / "sub/a.qcow2", "../x", "raw");
  expect_refused_untouched(dir_ / "sub/a.qcow2", "references=any");
  write_overlay(dir_ / "sub/b.qcow2", "../../x", "raw");
  expect_refused_untouched(dir_ / "sub/b.qcow2", "../../x");
}

TEST_F(WrongInput, AParentThatIsAnOptionOfQemu) {
  write_overlay(dir_ / "a.qcow2", "json:{\"driver\":\"raw\"}", "raw");
  expect_refused_untouched(dir_ / "a.qcow2", "json:");
}

TEST_F(WrongInput, AParentNameThatSteersTheTerminal) {
  write_overlay(dir_ / "a.qcow2", "x\x1b[2J", "raw");
  const Outcome outcome = mount(dir_ / "a.qcow2");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
}

TEST_F(WrongInput, AFifo) {
  ASSERT_EQ(mkfifo((dir_ / "fifo").c_str(), 0644), 0);
  expect_refused(dir_ / "fifo", dir_ / "fifo", "FIFO");
}

TEST_F(WrongInput, ADirectoryWithoutImages) {
  expect_refused(dir_.path(), dir_.path(), "has no images");
}

TEST_F(WrongInput, AnImageThatMayNotBeRead) {
  write_file(dir_ / "a.img", sector_text(4096));
  ASSERT_EQ(chmod((dir_ / "a.img").c_str(), 0), 0);
  std::vector<std::string> unprivileged;
  if (geteuid() == 0) unprivileged = {"setpriv", "--bounding-set=-dac_override,-dac_read_search"};
  expect_refused(dir_ / "a.img", dir_ / "a.img", "Permission denied", unprivileged);
}

TEST_F(WrongInput, ASnapshotThatIsNotThere) {
  write_overlay(dir_ / "a.qcow2", "");
  const Outcome outcome =
      run({program("platterfs"), "-osnapshot=x", dir_ / "a.qcow2", mountpoint_});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err,
            "platterfs: " + dir_ / "a.qcow2" + ": there is no snapshot or layer \"x\"\n");
}

TEST_F(WrongInput, AMountpointThatIsMissing) {
  write_file(dir_ / "a.img", sector_text(4096));
  mountpoint_ = dir_ / "none";
  expect_refused(dir_ / "a.img", dir_ / "none", "No such file or directory");
}

TEST_F(WrongInput, AMountpointThatIsAFile) {
  write_file(dir_ / "a.img", sector_text(4096));
  mountpoint_ = dir_ / "a.img";
  expect_refused(dir_ / "a.img", dir_ / "a.img", "not a directory");
}

TEST_F(WrongInput, AMountpointThatIsNotEmpty) {
  write_file(dir_ / "a.img", sector_text(4096));
  write_file(mountpoint_ + "/x", "x");
  expect_refused(dir_ / "a.img", mountpoint_, "not empty");
}

TEST_F(WrongInput, ALogThatCannotBeWritten) {
  write_file(dir_ / "a.img", sector_text(4096));
  const Outcome outcome =
      run({program("platterfs"), "--log=" + dir_ / "none/log", dir_ / "a.img", mountpoint_});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "platterfs: " + dir_ / "none/log" +
                             ": cannot be opened as the log: No such file or directory\n");
}

TEST_F(WrongInput, AUserWhoMayNotMount) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give up its rights";
  write_file(dir_ / "a.img", sector_text(4096));
  expect_refused(dir_ / "a.img", mountpoint_,
                 "cannot mount: ", {"setpriv", "--bounding-set=-sys_admin"});
}

TEST_F(WrongInput, AHostWithoutFuse) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to hide /dev/fuse";
  write_file(dir_ / "a.img", sector_text(4096));
  expect_refused(dir_ / "a.img", mountpoint_, "there is no /dev/fuse here",
                 {"unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev && exec \"$@\"", "sh"});
}

}  // namespace
}  // namespace platter::fusefs
