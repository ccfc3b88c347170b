// The program is killed while a filesystem on its disk is written: what was fsynced is there.
#include <chrono>
#include <csignal>
#include <random>
#include <thread>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/support/created_image.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/promised_files.h"
#include "tests/support/rounds.h"
#include "tests/support/sha256.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

// The smallest that mkfs.xfs makes is of 300 MiB.
constexpr uint64_t kSize = 320 * MiB;

using Where = std::tuple<HowMade, std::string>;

class Killed : public testing::TestWithParam<Where> {
 protected:
  void SetUp() override {
    if (const std::string reason = no_loop_devices(); !reason.empty()) GTEST_SKIP() << reason;
    if (!kind_.available()) GTEST_SKIP() << "there is no mkfs." << kind_.name;
  }

  void make_filesystem() {
    const Mount mount(image_.path(), image_.options());
    ASSERT_TRUE(mount.mounted());
    const LoopDevice loop(mount / "disk.raw");
    ASSERT_EQ(kind_.make(loop.path()), "");
  }

  // The journal is replayed by a mount; after that nothing may be wrong.
  void expect_sound(const LoopDevice& loop) {
    {
      MountedFilesystem replayed(loop.path(), kind_.name, dir_ / "files");
      ASSERT_EQ(replayed.error(), "");
      replayed.unmount();
    }
    ASSERT_EQ(kind_.fault(loop.path()), "");
  }

  void kill_while_written(unsigned round) {
    Mount mount(image_.path(), image_.options());
    ASSERT_TRUE(mount.mounted());
    const LoopDevice loop(mount / "disk.raw", round % 3 == 2);
    expect_sound(loop);
    if (HasFatalFailure()) return;
    {
      const MountedFilesystem filesystem(loop.path(), kind_.name, dir_ / "files",
                                         round % 2 == 1 ? "discard" : "");
      ASSERT_EQ(filesystem.error(), "");
      ASSERT_EQ(files_.broken(), "");
      files_.start(round);
      std::this_thread::sleep_for(std::chrono::milliseconds(20 + random_() % 1500));
      kill(mount.pid(), SIGKILL);
      files_.stop();
    }
    mount.abort_connection();
  }

  TempDir dir_;
  const FilesystemKind kind_{std::get<1>(GetParam())};
  const CreatedImage image_{std::get<0>(GetParam()), dir_.path(), kSize};
  PromisedFiles files_{dir_ / "files"};
  std::mt19937_64 random_{std::random_device{}()};
};

INSTANTIATE_TEST_SUITE_P(Images, Killed,
                         testing::Combine(testing::ValuesIn(ways_to_make()),
                                          testing::Values("ext4", "xfs")),
                         [](const auto& param) {
                           return std::get<0>(param.param).name + "_" + std::get<1>(param.param);
                         });

TEST_P(Killed, AtAnyMomentNothingThatWasFsyncedIsMissing) {
  const std::string parent = image_.parent().empty() ? "" : sha256_of_file(image_.parent());
  make_filesystem();
  const auto count = static_cast<unsigned>(rounds(3));
  for (unsigned round = 0; round < count && !HasFailure(); ++round) {
    kill_while_written(round);
    EXPECT_EQ(image_.fault(), "") << "round " << round;
  }
  ASSERT_FALSE(HasFatalFailure());
  const Mount mount(image_.path(), image_.options());
  ASSERT_TRUE(mount.mounted());
  const LoopDevice loop(mount / "disk.raw");
  expect_sound(loop);
  const MountedFilesystem filesystem(loop.path(), kind_.name, dir_ / "files");
  EXPECT_EQ(files_.broken(), "");
  EXPECT_GT(files_.promises(), 0u);
  RecordProperty("promises", std::to_string(files_.promises()));
  EXPECT_TRUE(parent.empty() || sha256_of_file(image_.parent()) == parent);
}

}  // namespace
}  // namespace platter::fusefs
