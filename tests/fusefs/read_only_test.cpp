// Every way to change something is refused, and nothing changes.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>

#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

struct Change {
  std::string name;
  std::function<int(const std::string& mountpoint)> attempt;
};

// 0, or what open() said.
int try_open(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd >= 0) close(fd);
  return fd >= 0 ? 0 : -1;
}

const std::vector<Change>& changes() {
  static const std::vector<Change> all = {
      {"OpeningForWriting", [](auto& m) { return try_open(m + "/disk.raw", O_WRONLY); }},
      {"OpeningForReadingAndWriting", [](auto& m) { return try_open(m + "/disk.raw", O_RDWR); }},
      {"OpeningAPartitionForWriting",
       [](auto& m) { return try_open(m + "/partitions/1.raw", O_RDWR); }},
      {"OpeningInfoJsonForWriting", [](auto& m) { return try_open(m + "/info.json", O_WRONLY); }},
      {"CuttingOnOpen", [](auto& m) { return try_open(m + "/disk.raw", O_WRONLY | O_TRUNC); }},
      {"CuttingOnOpenForReading",
       [](auto& m) { return try_open(m + "/disk.raw", O_RDONLY | O_TRUNC); }},
      {"MakingAFile", [](auto& m) { return try_open(m + "/new", O_WRONLY | O_CREAT); }},
      {"Cutting", [](auto& m) { return truncate((m + "/disk.raw").c_str(), 0); }},
      {"MakingADirectory", [](auto& m) { return mkdir((m + "/snapshots/new").c_str(), 0755); }},
      {"RemovingTheDisk", [](auto& m) { return unlink((m + "/disk.raw").c_str()); }},
      {"RemovingADirectory", [](auto& m) { return rmdir((m + "/partitions").c_str()); }},
      {"Renaming",
       [](auto& m) { return rename((m + "/disk.raw").c_str(), (m + "/other").c_str()); }},
      {"LinkingHard", [](auto& m) { return link((m + "/disk.raw").c_str(), (m + "/l").c_str()); }},
      {"LinkingSymbolically", [](auto& m) { return symlink("disk.raw", (m + "/l").c_str()); }},
      {"MakingANode", [](auto& m) { return mknod((m + "/fifo").c_str(), S_IFIFO | 0644, 0); }},
      {"ChangingTheMode", [](auto& m) { return chmod((m + "/disk.raw").c_str(), 0777); }},
      {"ChangingTheOwner", [](auto& m) { return chown((m + "/disk.raw").c_str(), 0, 0); }},
      {"ChangingTheTimes", [](auto& m) { return utimes((m + "/disk.raw").c_str(), nullptr); }},
      {"SettingAnAttribute",
       [](auto& m) {
         return setxattr((m + "/disk.raw").c_str(), "user.platter.format", "x", 1, 0);
       }},
      {"RemovingAnAttribute",
       [](auto& m) { return removexattr((m + "/disk.raw").c_str(), "user.platter.format"); }},
  };
  return all;
}

TEST(ReadOnlyMount, RefusesEveryChange) {
  const TempDir dir;
  const std::string disk = partitioned_disk();
  write_file(dir / "a.img", disk);
  struct stat before = {}, after = {};
  ASSERT_EQ(stat((dir / "a.img").c_str(), &before), 0);
  {
    const Mount mount(dir / "a.img");
    ASSERT_TRUE(mount.mounted());
    for (const Change& change : changes()) {
      EXPECT_EQ(change.attempt(mount.path()), -1) << change.name;
      EXPECT_EQ(errno, EROFS) << change.name;
    }
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk);
  }
  ASSERT_EQ(stat((dir / "a.img").c_str(), &after), 0);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  EXPECT_TRUE(read_file(dir / "a.img") == disk);
}

// The kernel lets a remount through to nobody but root, and then asks the program itself.
TEST(ReadOnlyMount, RefusesEveryChangeAfterARemountForWriting) {
  const TempDir dir;
  const std::string disk = partitioned_disk();
  write_file(dir / "a.img", disk);
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  if (run({"mount", "-i", "-o", "remount,rw", mount.path()}).status != 0) {
    GTEST_SKIP() << "may not remount here";
  }
  for (const Change& change : changes()) {
    if (change.name == "CuttingOnOpenForReading") continue;
    EXPECT_EQ(change.attempt(mount.path()), -1) << change.name;
    EXPECT_TRUE(errno == EROFS || errno == EACCES) << change.name << ": " << errno;
  }
  EXPECT_TRUE(read_file(mount / "disk.raw") == disk);
}

}  // namespace
}  // namespace platter::fusefs
