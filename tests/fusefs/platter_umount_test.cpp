// `platter mount` and `platter umount` on real mounts.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/io/posix_file.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::mount_entry;
using test::Outcome;
using test::TempDir;

// A process that has ended has no program any more, be it waited for or not.
bool runs(pid_t pid) {
  return access(("/proc/" + std::to_string(pid) + "/exe").c_str(), F_OK) == 0;
}

class PlatterMount : public testing::Test {
 protected:
  void SetUp() override {
    test::write_file(image_, std::string(MiB, 'x'));
    std::filesystem::create_directory(point_);
  }
  void TearDown() override {
    if (!mount_entry(point_).type.empty()) test::run({"fusermount3", "-u", "-z", point_});
  }
  Outcome platter(std::vector<std::string> words) const {
    words.insert(words.begin(), test::program("platter"));
    return test::run(words);
  }
  nlohmann::json info() const {
    return nlohmann::json::parse(test::read_file(point_ + "/info.json"));
  }

  void mount_and_kill() const {
    ASSERT_EQ(platter({"mount", image_, point_}).status, 0);
    kill(info().at("live").at("pid").get<pid_t>(), SIGKILL);
    // The kernel ends the connection when the last of its descriptors has gone.
    EXPECT_TRUE(test::comes_true(
        [this] { return !Descriptor(open(point_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }));
  }

  const TempDir dir_;
  const std::string image_ = dir_ / "disk.img";
  const std::string point_ = dir_ / "mount point";
};

TEST_F(PlatterMount, MountsAndUnmountsAndWaitsForTheEndOfTheDaemon) {
  const Outcome mounted = platter({"mount", image_, point_});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  const pid_t daemon = info().at("live").at("pid").get<pid_t>();
  ASSERT_TRUE(runs(daemon));
  const Outcome ended = platter({"umount", point_});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out + ended.err, "");
  EXPECT_EQ(mount_entry(point_).type, "");
  EXPECT_FALSE(runs(daemon));
}

TEST_F(PlatterMount, AnswersInJson) {
  const Outcome mounted = platter({"mount", "--json", image_, point_});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(nlohmann::json::parse(mounted.out).at("mountpoint"), point_);
  const Outcome ended = platter({"umount", "--json", point_});
  EXPECT_EQ(nlohmann::json::parse(ended.out).at("unmounted"), true);
  const Outcome again = platter({"umount", "--json", point_});
  EXPECT_EQ(again.status, 1);
  EXPECT_EQ(nlohmann::json::parse(again.out).at("error").at("file"), point_);
}

TEST_F(PlatterMount, AnswersAFailedMountInJson) {
  const Outcome failed = platter({"mount", "--json", dir_ / "missing", point_});
  EXPECT_NE(failed.status, 0);
  const auto object = nlohmann::json::parse(failed.out, nullptr, false);
  EXPECT_EQ(object.at("error").at("file"), dir_ / "missing");
}

TEST_F(PlatterMount, StaysWhenItIsBusyAndNamesTheProcess) {
  ASSERT_EQ(platter({"mount", image_, point_}).status, 0);
  {
    const Descriptor disk(open((point_ + "/disk.raw").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(disk);
    const Outcome busy = platter({"umount", point_});
    EXPECT_EQ(busy.status, 1);
    EXPECT_TRUE(busy.err.starts_with("platter: " + point_ + ": is busy: ")) << busy.err;
    EXPECT_NE(busy.err.find("process " + std::to_string(getpid()) + " ("), std::string::npos)
        << busy.err;
    EXPECT_EQ(std::ranges::count(busy.err, '\n'), 1);
    EXPECT_EQ(mount_entry(point_).type, "fuse.platterfs");
  }
  EXPECT_EQ(platter({"umount", point_}).status, 0);
}

// What was written into its image, and not flushed, is gone with the program that served that.
TEST_F(PlatterMount, StaysWhenItCannotBeFlushed) {
  const std::string host = dir_ / "host.raw", outer = dir_ / "outer";
  ASSERT_EQ(platter({"create", "-q", "-f", "qcow2", host, "8M"}).status, 0);
  std::filesystem::resize_file(host, 12 * MiB);
  std::filesystem::create_directory(outer);
  ASSERT_EQ(platter({"mount", "-o", "format=raw", host, outer}).status, 0);
  ASSERT_EQ(platter({"mount", "-o", "format=qcow2", outer + "/disk.raw", point_}).status, 0);
  const auto live = nlohmann::json::parse(test::read_file(outer + "/info.json")).at("live");
  {
    const Descriptor disk(open((point_ + "/disk.raw").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(pwrite(disk.get(), "unsynced", 8, 0), 8);
    kill(live.at("pid").get<pid_t>(), SIGKILL);
    EXPECT_TRUE(test::comes_true(
        [&] { return !Descriptor(open(outer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }));
  }
  const Outcome ended = platter({"umount", point_});
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.err.find("it stays mounted"), std::string::npos) << ended.err;
  EXPECT_EQ(mount_entry(point_).type, "fuse.platterfs");
  EXPECT_EQ(test::run({"fusermount3", "-u", "-z", outer}).status, 0);
}

TEST_F(PlatterMount, UnmountsWhatADeadDaemonLeft) {
  mount_and_kill();
  const Outcome ended = platter({"umount", point_ + "/"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(mount_entry(point_).type, "");
}

TEST_F(PlatterMount, TakesThePlaceOfWhatADeadDaemonLeft) {
  mount_and_kill();
  const Outcome mounted = platter({"mount", image_, point_});
  EXPECT_EQ(mounted.status, 0);
  EXPECT_NE(mounted.err.find("unmounted what a killed platterfs had left there"), std::string::npos)
      << mounted.err;
  EXPECT_EQ(test::read_file(point_ + "/disk.raw"), test::read_file(image_));
  EXPECT_EQ(platter({"umount", point_}).status, 0);
  EXPECT_EQ(mount_entry(point_).type, "") << "the dead one was below it";
}

TEST_F(PlatterMount, RefusesWhatIsNoMountOfOurs) {
  EXPECT_EQ(platter({"umount", point_}).err, "platter: " + point_ + ": nothing is mounted there\n");
  EXPECT_EQ(platter({"umount", "/proc"}).err,
            "platter: /proc: is not a platter mount but one of type proc\n");
}

TEST_F(PlatterMount, HandsHelpAndErrorsOverToPlatterfs) {
  const Outcome help = platter({"mount", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(help.out, test::run({test::program("platterfs"), "--help"}).out);
  EXPECT_EQ(platter({"help", "mount"}).out, help.out);
  EXPECT_EQ(platter({"mount", "-o", "nonsense", image_, point_}).err,
            test::run({test::program("platterfs"), "-o", "nonsense", image_, point_}).err);
}

}  // namespace
}  // namespace platter
