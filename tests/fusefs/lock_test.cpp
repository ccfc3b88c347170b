// Two programs do not write one image.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace platter::test;

class Locks : public testing::TestWithParam<std::string> {
 protected:
  Locks() { mkdir((dir_ / "second").c_str(), 0755); }
  // Tries to mount at a second place; unmounted again at once.
  Outcome mount_again(const std::string& path, std::vector<std::string> options) const {
    options.insert(options.begin(), program("platterfs"));
    options.insert(options.end(), {path, dir_ / "second"});
    Outcome outcome = run(options);
    if (outcome.status == 0) {
      EXPECT_EQ(run({"fusermount3", "-u", dir_ / "second"}).status, 0);
      // The lock goes with the program, a moment after the mount.
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return outcome;
  }
  std::vector<std::string> with(const std::string& option) const {
    std::vector<std::string> options = image_.options;
    options.push_back(option);
    return options;
  }
  void expect_busy(const Outcome& outcome, const Mount& holder, const std::string& path) const {
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, StartsWith("platterfs: " + path + ": "));
    EXPECT_THAT(outcome.err, HasSubstr(std::to_string(holder.pid())));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
  TempDir dir_;
  WritableImage image_{GetParam(), dir_.path()};
};

INSTANTIATE_TEST_SUITE_P(Images, Locks, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(Locks, ASecondMountIsRefusedAndToldTheHolder) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  expect_busy(mount_again(image_.path, image_.options), mount, image_.path);
  expect_busy(mount_again(image_.path, with("-oro")), mount, image_.path);
  const Outcome shared = mount_again(image_.path, with("-olock=shared"));
  EXPECT_EQ(shared.status, 0) << shared.err;
  const Outcome off = mount_again(image_.path, with("-olock=off"));
  EXPECT_EQ(off.status, 0) << off.err;
  // The parent is only read here, so others may read it, but not write it.
  if (image_.parent.empty()) return;
  EXPECT_EQ(mount_again(image_.parent, {"-oro"}).status, 0);
  expect_busy(mount_again(image_.parent, {"-orw"}), mount, image_.parent);
}

TEST_P(Locks, ReadersShareAnImageAndKeepWritersAway) {
  const Mount mount(image_.path, with("-oro"));
  ASSERT_TRUE(mount.mounted());
  const Outcome reader = mount_again(image_.path, with("-oro"));
  EXPECT_EQ(reader.status, 0) << reader.err;
  expect_busy(mount_again(image_.path, image_.options), mount, image_.path);
}

TEST_P(Locks, InTheBackgroundTheyAreTheDaemons) {
  ASSERT_EQ(mkdir((dir_ / "mnt").c_str(), 0755), 0);
  std::vector<std::string> command = image_.options;
  command.insert(command.begin(), program("platterfs"));
  command.insert(command.end(), {image_.path, dir_ / "mnt"});
  const Outcome started = run(command);
  ASSERT_EQ(started.status, 0) << started.err;
  EXPECT_THAT(mount_again(image_.path, image_.options).err, HasSubstr("process "));
  EXPECT_EQ(run({"fusermount3", "-u", dir_ / "mnt"}).status, 0);
  EXPECT_TRUE(comes_true([&] { return mount_again(image_.path, image_.options).status == 0; }));
}

}  // namespace
}  // namespace platter::fusefs
