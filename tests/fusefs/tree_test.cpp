// The names of a mount, and what stat and its kin say of them.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using namespace platter::test;

std::set<std::string> entries(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.insert(entry.path().filename());
  }
  return names;
}

// Absent: "<errno N>".
std::string xattr_of(const std::string& path, const std::string& name) {
  std::string value(256, '\0');
  const ssize_t size = getxattr(path.c_str(), name.c_str(), value.data(), value.size());
  if (size < 0) return "<errno " + std::to_string(errno) + ">";
  value.resize(static_cast<size_t>(size));
  return value;
}

// base.img <- 1.qcow2 <- top.qcow2, mounted.
class LayeredMount : public testing::Test {
 protected:
  LayeredMount() {
    write_file(dir_ / "base.img", partitioned_disk());
    write_overlay(dir_ / "1.qcow2", "base.img", "raw");
    write_overlay(dir_ / "top.qcow2", "1.qcow2", "qcow2");
  }
  TempDir dir_;
};

TEST(Tree, HasTheDiskItsDescriptionItsPartitionsAndItsEarlierStates) {
  const TempDir dir;
  write_file(dir / "a.img", partitioned_disk());
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(entries(mount.path()),
              UnorderedElementsAre("disk.raw", "info.json", "partitions", "snapshots"));
  EXPECT_THAT(entries(mount / "partitions"), UnorderedElementsAre("1.raw", "2.raw"));
  EXPECT_THAT(entries(mount / "snapshots"), IsEmpty());
}

TEST(Tree, ADiskWithoutAPartitionTableHasNoPartitions) {
  const TempDir dir;
  write_file(dir / "a.img", sector_text(8192));
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(entries(mount / "partitions"), IsEmpty());
  EXPECT_NE(access((mount / "partitions/1.raw").c_str(), F_OK), 0);
}

TEST(Tree, APartitionIsThePartOfTheDiskTheTableNames) {
  const TempDir dir;
  const std::string disk = partitioned_disk();
  write_file(dir / "a.img", disk);
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "partitions/1.raw") ==
              disk.substr(kFirstPartition.offset, kFirstPartition.length));
  EXPECT_TRUE(read_file(mount / "partitions/2.raw") ==
              disk.substr(kSecondPartition.offset, kSecondPartition.length));
}

TEST_F(LayeredMount, ShowsEveryParentUnderItsFileNameWithItsOwnBytes) {
  const Mount mount(dir_ / "top.qcow2");
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(entries(mount / "snapshots"), UnorderedElementsAre("1.qcow2", "base.img"));
  EXPECT_THAT(entries(mount / "snapshots/base.img"),
              UnorderedElementsAre("disk.raw", "info.json", "partitions"));
  const std::string base = partitioned_disk();
  EXPECT_TRUE(read_file(mount / "snapshots/base.img/disk.raw") == base);
  EXPECT_THAT(entries(mount / "snapshots/base.img/partitions"),
              UnorderedElementsAre("1.raw", "2.raw"));
  EXPECT_TRUE(read_file(mount / "snapshots/base.img/partitions/2.raw") ==
              base.substr(kSecondPartition.offset, kSecondPartition.length));
  std::string seen = base.substr(0, kOverlaySize);
  seen.replace(0, 512, std::string(512, '\xd5'));
  EXPECT_TRUE(read_file(mount / "snapshots/1.qcow2/disk.raw") == seen);
  EXPECT_TRUE(read_file(mount / "disk.raw") == seen);
}

TEST_F(LayeredMount, InfoJsonDescribesTheStateItLiesIn) {
  const Mount mount(dir_ / "top.qcow2");
  ASSERT_TRUE(mount.mounted());
  const auto info = nlohmann::json::parse(read_file(mount / "info.json"));
  EXPECT_EQ(info["format"], "qcow2");
  EXPECT_EQ(info["virtual_size"], kOverlaySize);
  EXPECT_EQ(info["chain"].size(), 3u);
  EXPECT_EQ(info["live"]["pid"], mount.pid());
  EXPECT_EQ(info["live"]["transport"], "/dev/fuse");
  const auto base = nlohmann::json::parse(read_file(mount / "snapshots/base.img/info.json"));
  EXPECT_EQ(base["format"], "raw");
  EXPECT_EQ(base["chain"].size(), 1u);
}

TEST_F(LayeredMount, InfoJsonCountsWhatIsRead) {
  const Mount mount(dir_ / "top.qcow2");
  ASSERT_TRUE(mount.mounted());
  const auto live = [&] { return nlohmann::json::parse(read_file(mount / "info.json"))["live"]; };
  const auto before = live();
  EXPECT_EQ(read_file(mount / "disk.raw").size(), kOverlaySize);
  const auto after = live();
  EXPECT_GE(after["bytes"].get<uint64_t>(), before["bytes"].get<uint64_t>() + kOverlaySize);
  EXPECT_GT(after["latency_us"]["read"].get<double>(), 0);
  EXPECT_EQ(after["latency_us"]["write"].get<double>(), 0);
  EXPECT_GT(after["cache"]["tables"]["misses"].get<uint64_t>(), 0u);
  EXPECT_EQ(after["cache"]["blocks"]["misses"].get<uint64_t>(), 0u) << "nothing is compressed";
}

TEST_F(LayeredMount, InodeNumbersAreDistinctAndTheSameInTheNextMount) {
  const auto inodes = [&] {
    const Mount mount(dir_ / "top.qcow2");
    EXPECT_TRUE(mount.mounted());
    std::vector<std::pair<std::string, ino_t>> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(mount.path())) {
      found.emplace_back(entry.path().lexically_relative(mount.path()),
                         stat_path(entry.path()).st_ino);
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  const auto first = inodes();
  std::set<ino_t> distinct;
  for (const auto& [name, inode] : first) distinct.insert(inode);
  EXPECT_GT(first.size(), 12u);
  EXPECT_EQ(distinct.size(), first.size());
  EXPECT_EQ(inodes(), first);
}

TEST(Tree, ListsTheLayersOfALongChain) {
  const TempDir dir;
  write_chain(dir.path(), 300);
  const Mount mount(dir / "0.qcow2");
  ASSERT_TRUE(mount.mounted());
  EXPECT_EQ(entries(mount / "snapshots").size(), 299u);
  EXPECT_EQ(read_file(mount / "snapshots/299.qcow2/disk.raw").size(), kOverlaySize);
}

TEST(Stat, OwnerAndTimeAreTheImagesAndNobodyMayWrite) {
  const TempDir dir;
  write_file(dir / "a.img", sector_text(8192));
  ASSERT_EQ(chmod((dir / "a.img").c_str(), 0640), 0);
  const struct stat image = stat_path(dir / "a.img");
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  const struct stat disk = stat_path(mount / "disk.raw");
  EXPECT_EQ(disk.st_mode, S_IFREG | 0440u);
  EXPECT_EQ(disk.st_uid, image.st_uid);
  EXPECT_EQ(disk.st_gid, image.st_gid);
  EXPECT_EQ(disk.st_size, 8192);
  EXPECT_EQ(disk.st_mtim.tv_sec, image.st_mtim.tv_sec);
  EXPECT_EQ(disk.st_mtim.tv_nsec, image.st_mtim.tv_nsec);
  EXPECT_EQ(stat_path(mount.path()).st_mode, S_IFDIR | 0550u);
}

TEST(Stat, BlocksAreWhatTheHostKeepsAndNeverNothing) {
  const TempDir dir;
  write_sparse(dir / "some.img", 64 * MiB, {{0, MiB}});
  write_sparse(dir / "none.img", 64 * MiB, {});
  {
    const Mount mount(dir / "some.img");
    ASSERT_TRUE(mount.mounted());
    EXPECT_EQ(stat_path(mount / "disk.raw").st_blocks, stat_path(dir / "some.img").st_blocks);
  }
  const Mount mount(dir / "none.img");
  ASSERT_TRUE(mount.mounted());
  EXPECT_EQ(stat_path(mount / "disk.raw").st_blocks, 1);
}

TEST_F(LayeredMount, BlocksOfAChainAreAtMostTheDisk) {
  const Mount mount(dir_ / "top.qcow2");
  ASSERT_TRUE(mount.mounted());
  // base.img alone keeps more than the 16 KiB that the top shows.
  EXPECT_EQ(stat_path(mount / "disk.raw").st_blocks, static_cast<blkcnt_t>(kOverlaySize / 512));
}

TEST(Stat, APartitionHasItsShareOfTheBlocks) {
  const TempDir dir;
  write_file(dir / "a.img", partitioned_disk());
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  const struct stat part = stat_path(mount / "partitions/1.raw");
  EXPECT_EQ(static_cast<uint64_t>(part.st_size), kFirstPartition.length);
  EXPECT_EQ(part.st_blocks, static_cast<blkcnt_t>(kFirstPartition.length / 512));
}

TEST(Stat, TheFreeSpaceIsThatOfTheHostFilesystem) {
  const TempDir dir;
  write_file(dir / "a.img", sector_text(8192));
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  struct statvfs host = {}, shown = {};
  ASSERT_EQ(statvfs(dir.path().c_str(), &host), 0);
  ASSERT_EQ(statvfs(mount.path().c_str(), &shown), 0);
  EXPECT_EQ(shown.f_blocks, host.f_blocks);
  EXPECT_EQ(shown.f_frsize, host.f_frsize);
  EXPECT_EQ(shown.f_flag & ST_RDONLY, static_cast<unsigned long>(ST_RDONLY));
}

TEST_F(LayeredMount, ExtendedAttributesSayWhatTheImageIs) {
  const Mount mount(dir_ / "top.qcow2");
  ASSERT_TRUE(mount.mounted());
  const std::string disk = mount / "disk.raw";
  EXPECT_EQ(xattr_of(disk, "user.platter.format"), "qcow2");
  EXPECT_EQ(xattr_of(disk, "user.platter.virtual-size"), std::to_string(kOverlaySize));
  EXPECT_EQ(xattr_of(disk, "user.platter.parent"), "1.qcow2");
  EXPECT_EQ(xattr_of(disk, "user.platter.dirty"), "false");
  EXPECT_EQ(xattr_of(disk, "user.platter.other"), "<errno " + std::to_string(ENODATA) + ">");
  EXPECT_EQ(xattr_of(mount / "snapshots/base.img/disk.raw", "user.platter.parent"),
            "<errno " + std::to_string(ENODATA) + ">");
  std::string names(1024, '\0');
  const ssize_t size = listxattr(disk.c_str(), names.data(), names.size());
  ASSERT_GT(size, 0);
  names.resize(static_cast<size_t>(size));
  EXPECT_THAT(names, HasSubstr(std::string("user.platter.parent") + '\0'));
  EXPECT_EQ(listxattr((mount / "info.json").c_str(), nullptr, 0), 0);
}

}  // namespace
}  // namespace platter::fusefs
