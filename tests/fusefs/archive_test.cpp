// Mounts of archives of disks.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "lib/ops/create.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/ova_builder.h"

namespace platter::fusefs {
namespace {

namespace fs = std::filesystem;
using namespace platter::test;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

class ArchiveMount : public testing::Test {
 protected:
  ArchiveMount() {
    write_overlay(dir_ / "top.qcow2", "base.img", "raw");
    const OvaBuilder ova{
        .disks = {{.member = "top.qcow2",
                   .content = read_file(dir_ / "top.qcow2"),
                   .capacity = kOverlaySize,
                   .parent = "disk2"},
                  {.member = "base.img", .content = base_, .capacity = kOverlaySize},
                  {.member = "gone.vmdk", .content = "", .capacity = 1}}};
    fs::create_directory(dir_ / "images");
    write_file(ova_, ova.build());
    write_file(dir_ / "images/other.raw", sector_text(64 * KiB, 5));
  }
  const TempDir dir_;
  const std::string ova_ = dir_ / "images/x.ova";
  const std::string base_ = sector_text(kOverlaySize, 3);
  const std::string top_ = std::string(512, '\xd5') + base_.substr(512);
};

TEST_F(ArchiveMount, HasADirectoryForEachDisk) {
  const Mount mount(ova_);
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(entries_of(mount.path()), ElementsAre("base.img", "gone.vmdk", "top.qcow2"));
  EXPECT_TRUE(read_file(mount / "base.img/disk.raw") == base_);
  EXPECT_TRUE(read_file(mount / "top.qcow2/disk.raw") == top_);
  EXPECT_THAT(entries_of(mount / "top.qcow2/snapshots"), ElementsAre("base.img"));
  EXPECT_TRUE(read_file(mount / "top.qcow2/snapshots/base.img/disk.raw") == base_);
  EXPECT_THAT(read_file(mount / "gone.vmdk/error.txt"),
              HasSubstr("x.ova/gone.vmdk: its file is empty"));
  EXPECT_THAT(read_file(mount / "top.qcow2/info.json"), HasSubstr("x.ova/top.qcow2"));
  struct stat st = {};
  ASSERT_EQ(stat((mount / "base.img/disk.raw").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0222, 0u);
}

TEST_F(ArchiveMount, OfOneDiskNamedInItIsThatDisk) {
  const Mount mount(ova_ + "/top.qcow2");
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == top_);
  EXPECT_EQ(mount_entry(mount.path()).source,
            fs::canonical(dir_.path()).string() + "/images/x.ova/top.qcow2");
}

TEST_F(ArchiveMount, AmongOthersSaysWhichArchiveADiskIsFrom) {
  const Mount mount(dir_ / "images");
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(entries_of(mount.path()),
              ElementsAre("other.raw", "x.ova:base.img", "x.ova:gone.vmdk", "x.ova:top.qcow2"));
  EXPECT_TRUE(read_file(mount / "x.ova:top.qcow2/disk.raw") == top_);
  EXPECT_TRUE(read_file(mount / "other.raw/disk.raw") == sector_text(64 * KiB, 5));
}

TEST_F(ArchiveMount, IsWrittenOverInATemporaryOverlay) {
  const std::string before = read_file(ova_);
  {
    const Mount mount(ova_ + "/top.qcow2", {"-ooverlay"});
    ASSERT_TRUE(mount.mounted());
    {
      std::FILE* const disk = std::fopen((mount / "disk.raw").c_str(), "r+");
      ASSERT_NE(disk, nullptr);
      EXPECT_EQ(std::fputs("written", disk) < 0, false);
      EXPECT_EQ(std::fclose(disk), 0);
    }
    EXPECT_EQ(read_file(mount / "disk.raw").substr(0, 8), "written\xd5");
  }
  {
    const Mount all(ova_, {"-ooverlay"});
    ASSERT_TRUE(all.mounted());
    EXPECT_TRUE(read_file(all / "base.img/disk.raw") == base_);
  }
  EXPECT_TRUE(read_file(ova_) == before);
}

TEST_F(ArchiveMount, OfADiskThatIsNotThereFails) {
  const TempDir point;
  const Outcome outcome = run({program("platterfs"), ova_ + "/none", point.path()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the archive has no such disk"));
}

}  // namespace
}  // namespace platter::fusefs
