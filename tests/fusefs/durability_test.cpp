// What was synced stays, however the mount ends.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using testing::HasSubstr;
using namespace platter::test;

class Durability : public testing::TestWithParam<std::string> {
 protected:
  static Descriptor open_disk(const Mount& mount) {
    Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(fd) << strerror(errno);
    return fd;
  }
  // Writes all over the disk: into what is there and what is not.
  void write_all_over(int fd, std::string& model) {
    for (unsigned i = 0; i < 40; ++i) {
      const std::string bytes = sector_text(3000, i);
      const size_t at = i * 101000;
      ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)), 3000);
      model.replace(at, bytes.size(), bytes);
    }
  }
  TempDir dir_;
  WritableImage image_{GetParam(), dir_.path()};
  std::string model_ = image_.contents();
};

INSTANTIATE_TEST_SUITE_P(Images, Durability, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(Durability, WhatWasSyncedSurvivesAKill) {
  for (const bool by_close : {false, true}) {
    Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    Descriptor fd = open_disk(mount);
    write_all_over(fd.get(), model_);
    if (by_close) {
      ASSERT_EQ(close(dup(fd.get())), 0);
    } else {
      ASSERT_EQ(fsync(fd.get()), 0);
    }
    kill(mount.pid(), SIGKILL);
    mount.wait_for_end();
    fd = Descriptor();
    EXPECT_TRUE(image_.contents() == model_);
    const CheckReport report = image_.check();
    EXPECT_EQ(report.corruptions, 0u) << testing::PrintToString(report.messages);
  }
  const Mount again(image_.path, image_.options);
  EXPECT_TRUE(read_file(again / "disk.raw") == model_);
}

TEST_P(Durability, AKillWithoutASyncLosesWhatCameAfterItAndNothingElse) {
  Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  Descriptor fd = open_disk(mount);
  write_all_over(fd.get(), model_);
  ASSERT_EQ(fsync(fd.get()), 0);
  std::string later = model_;
  ASSERT_EQ(pwrite(fd.get(), std::string(9000, 'n').data(), 9000, 700000), 9000);
  later.replace(700000, 9000, 9000, 'n');
  kill(mount.pid(), SIGKILL);
  mount.wait_for_end();
  fd = Descriptor();
  const std::string found = image_.contents();
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(found[i] == model_[i] || found[i] == later[i]) << i;
  }
  EXPECT_EQ(image_.check().corruptions, 0u);
}

TEST_P(Durability, UnmountingFlushes) {
  {
    const Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    const Descriptor fd = open_disk(mount);
    write_all_over(fd.get(), model_);
  }
  EXPECT_TRUE(image_.contents() == model_);
  const CheckReport report = image_.check();
  EXPECT_EQ(report.corruptions + report.leaks, 0u);
}

TEST_P(Durability, TheFirstSignalFlushesAndTheSecondEndsIt) {
  for (const char* threads : {"-s", "--threads=4"}) {
    std::vector<std::string> options = image_.options;
    options.emplace_back(threads);
    Mount mount(image_.path, options);
    ASSERT_TRUE(mount.mounted());
    const Descriptor fd = open_disk(mount);
    write_all_over(fd.get(), model_);
    kill(mount.pid(), SIGTERM);
    ASSERT_TRUE(comes_true([&] { return !mount.messages().empty(); }));
    EXPECT_THAT(mount.messages(), HasSubstr(std::to_string(getpid())));
    EXPECT_TRUE(image_.contents() == model_);
    const std::string after = sector_text(5000, 77);
    ASSERT_EQ(pwrite(fd.get(), after.data(), after.size(), 300000), 5000);
    model_.replace(300000, after.size(), after);
    kill(mount.pid(), SIGTERM);
    EXPECT_EQ(mount.wait_for_end(), 0);
    EXPECT_TRUE(image_.contents() == model_);
    EXPECT_EQ(image_.check().corruptions, 0u);
  }
}

// A filesystem of 3 MiB that holds the image.
class FullHost : public Durability {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root for a small filesystem";
    mkdir((dir_ / "small").c_str(), 0755);
    if (mount("none", (dir_ / "small").c_str(), "tmpfs", 0, "size=3m") != 0) {
      GTEST_SKIP() << "may not mount a small filesystem here";
    }
  }
  void TearDown() override { umount2((dir_ / "small").c_str(), MNT_DETACH); }
};

INSTANTIATE_TEST_SUITE_P(Images, FullHost, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(FullHost, SaysSoToTheWriterAndKeepsWhatWasWritten) {
  const WritableImage image(GetParam(), dir_ / "small");
  std::string model = image.contents();
  {
    Mount mount(image.path, image.options);
    ASSERT_TRUE(mount.mounted());
    const Descriptor fd = open_disk(mount);
    const std::string bytes = sector_text(16384, 9);
    size_t at = 0;
    for (; at < kWritableSize; at += bytes.size()) {
      const ssize_t n = pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (n < 0) break;
      model.replace(at, static_cast<size_t>(n), bytes, 0, static_cast<size_t>(n));
    }
    ASSERT_LT(at, kWritableSize);
    EXPECT_EQ(errno, ENOSPC);
    // What is there can still be written.
    ASSERT_EQ(pwrite(fd.get(), bytes.data() + 1, 4096, 0), 4096);
    model.replace(0, 4096, bytes, 1, 4096);
    EXPECT_EQ(fsync(fd.get()), 0);
    EXPECT_TRUE(read_file(mount / "disk.raw").substr(0, at) == model.substr(0, at));
  }
  const std::string found = image.contents();
  EXPECT_TRUE(found.compare(0, 16384, model, 0, 16384) == 0);
  EXPECT_EQ(image.check().corruptions, 0u);
}

}  // namespace
}  // namespace platter::fusefs
