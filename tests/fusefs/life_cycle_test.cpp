// How a mount begins and ends.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/io/posix_file.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using namespace platter::test;
using namespace std::chrono_literals;

class LifeCycle : public testing::Test {
 protected:
  LifeCycle() { write_file(image_, sector_text(64 * KiB)); }

  TempDir dir_;
  const std::string image_ = dir_ / "a.img";
  const std::vector<std::string> raw_ = {"-oformat=raw"};
};

TEST_F(LifeCycle, UmountEndsIt) {
  Mount mount(image_, raw_);
  ASSERT_TRUE(mount.mounted());
  if (umount2(mount.path().c_str(), 0) != 0) GTEST_SKIP() << "may not call umount here";
  EXPECT_EQ(mount.wait_for_end(), 0);
}

TEST_F(LifeCycle, FusermountEndsIt) {
  Mount mount(image_, raw_);
  ASSERT_TRUE(mount.mounted());
  EXPECT_EQ(run({"fusermount3", "-u", mount.path()}).status, 0);
  EXPECT_EQ(mount.wait_for_end(), 0);
}

// The connection may end at any point of a request's way, also while it is handed over. Nobody
// waits for the closes of files: they are under way when it ends.
TEST_F(LifeCycle, EndsWellWhenItIsAbortedAmongRequests) {
  for (int round = 0; round < 30; ++round) {
    Mount mount(image_, {"-oformat=raw,rw"});
    ASSERT_TRUE(mount.mounted());
    std::vector<Descriptor> files;
    for (int i = 0; i < 200; ++i) {
      files.emplace_back(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    }
    std::thread end([&] { mount.abort_connection(); });
    files.clear();
    end.join();
    EXPECT_EQ(mount.wait_for_end(), 0) << mount.messages();
  }
}

class EndingSignal : public LifeCycle, public testing::WithParamInterface<int> {};

TEST_P(EndingSignal, EndsAMountThatIsNotInUse) {
  for (const char* threads : {"-s", "--threads=4"}) {
    Mount mount(image_, {"-oformat=raw", threads});
    ASSERT_TRUE(mount.mounted());
    (void)read_file(mount / "disk.raw");
    // The close reaches the program after it returned here.
    ASSERT_TRUE(comes_true([&] {
      return nlohmann::json::parse(read_file(mount / "info.json"))["live"]["open_files"] == 0;
    }));
    std::this_thread::sleep_for(50ms);
    kill(mount.pid(), GetParam());
    EXPECT_EQ(mount.wait_for_end(), 0);
    EXPECT_EQ(mount_entry(mount.path()).type, "");
    EXPECT_EQ(mount.messages(), "");
  }
}

TEST_P(EndingSignal, SparesAMountInUseTheFirstTimeAndSaysWhoUsesIt) {
  for (const char* threads : {"-s", "--threads=4"}) {
    Mount mount(image_, {"-oformat=raw", threads});
    ASSERT_TRUE(mount.mounted());
    const int fd = open((mount / "disk.raw").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    kill(mount.pid(), GetParam());
    ASSERT_TRUE(comes_true([&] { return !mount.messages().empty(); }));
    EXPECT_THAT(mount.messages(), AllOf(HasSubstr("in use"), HasSubstr(std::to_string(getpid()))));
    EXPECT_TRUE(read_file(mount / "disk.raw") == sector_text(64 * KiB));
    kill(mount.pid(), GetParam());
    EXPECT_EQ(mount.wait_for_end(), 0);
    EXPECT_EQ(mount_entry(mount.path()).type, "");
    close(fd);
  }
}

INSTANTIATE_TEST_SUITE_P(Signals, EndingSignal, testing::Values(SIGTERM, SIGINT, SIGHUP));

TEST_F(LifeCycle, InTheBackgroundItReturnsWhenTheMountAnswers) {
  mkdir((dir_ / "mnt").c_str(), 0755);
  const Outcome started = run({program("platterfs"), "-oformat=raw", image_, dir_ / "mnt"});
  ASSERT_EQ(started.status, 0) << started.err;
  EXPECT_EQ(started.out + started.err, "");
  EXPECT_TRUE(read_file(dir_ / "mnt/disk.raw") == sector_text(64 * KiB));
  const auto live = nlohmann::json::parse(read_file(dir_ / "mnt/info.json"))["live"];
  const std::string process = "/proc/" + std::to_string(live["pid"].get<int>());
  std::string directory(16, '\0');
  directory.resize(static_cast<size_t>(
      readlink((process + "/cwd").c_str(), directory.data(), directory.size())));
  EXPECT_EQ(directory, "/");
  EXPECT_EQ(run({"fusermount3", "-u", dir_ / "mnt"}).status, 0);
  // Nothing may be left but what its parent has not fetched yet.
  EXPECT_TRUE(comes_true([&] {
    return access(process.c_str(), F_OK) != 0 ||
           read_file(process + "/stat").find(") Z") != std::string::npos;
  }));
}

TEST_F(LifeCycle, RelativeNamesMeanWhatTheyMeantWhenItStarted) {
  mkdir((dir_ / "mnt").c_str(), 0755);
  write_overlay(dir_ / "top.qcow2", "a.img", "raw");
  const Outcome started = run({"sh", "-c", "cd \"$1\" && \"$2\" --log=log top.qcow2 mnt", "sh",
                               dir_.path(), program("platterfs")});
  ASSERT_EQ(started.status, 0) << started.err;
  EXPECT_TRUE(read_file(dir_ / "mnt/snapshots/a.img/disk.raw") == sector_text(64 * KiB));
  EXPECT_EQ(read_file(dir_ / "log"), "");
  EXPECT_EQ(run({"fusermount3", "-u", dir_ / "mnt"}).status, 0);
}

TEST_F(LifeCycle, AutoUnmountCleansUpAfterAKill) {
  mkdir((dir_ / "mnt").c_str(), 0755);
  const Outcome started =
      run({program("platterfs"), "-oformat=raw,auto_unmount", image_, dir_ / "mnt"});
  ASSERT_EQ(started.status, 0) << started.err;
  const auto live = nlohmann::json::parse(read_file(dir_ / "mnt/info.json"))["live"];
  kill(live["pid"].get<int>(), SIGKILL);
  EXPECT_TRUE(comes_true([&] { return mount_entry(dir_ / "mnt").type.empty(); }));
}

TEST_F(LifeCycle, ADiskOf64TiBIsMountedWithLittleMemory) {
  write_sparse(dir_ / "big.img", 8192 * GiB, {{0, MiB}, {8191 * GiB, MiB}});
  const Mount mount(dir_ / "big.img", raw_);
  ASSERT_TRUE(mount.mounted());
  const std::string status = read_file("/proc/" + std::to_string(mount.pid()) + "/status");
  const size_t at = status.find("VmRSS:");
  ASSERT_NE(at, std::string::npos);
  EXPECT_LT(std::stoul(status.substr(at + 6)), 30 * 1024u);
}

}  // namespace
}  // namespace platter::fusefs
