// What is written into a mount is in the image, and nothing else is.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/io/posix_file.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace platter::test;

nlohmann::json live(const Mount& mount) {
  return nlohmann::json::parse(read_file(mount / "info.json"))["live"];
}

class WriteMount : public testing::TestWithParam<std::string> {
 protected:
  Descriptor open_disk(const Mount& mount, int flags = O_RDWR) const {
    Descriptor fd(open((mount / "disk.raw").c_str(), flags | O_CLOEXEC));
    EXPECT_TRUE(fd) << strerror(errno);
    return fd;
  }
  TempDir dir_;
  WritableImage image_{GetParam(), dir_.path()};
};

// What depends on the host's own blocks.
class RawWriteMount : public WriteMount {};
INSTANTIATE_TEST_SUITE_P(Images, RawWriteMount, testing::Values("raw"));

INSTANTIATE_TEST_SUITE_P(Images, WriteMount, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(WriteMount, IsMountedForWritingWithoutAWord) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(mount_entry(mount.path()).options, StartsWith("rw"));
  EXPECT_EQ(mount.messages(), "");
  EXPECT_EQ(stat_path(mount / "disk.raw").st_mode, stat_path(image_.path).st_mode);
  EXPECT_EQ(live(mount)["writable"], true);
}

TEST_P(WriteMount, MountingAndReadingChangesNoByteAndNoTime) {
  const std::string before = read_file(image_.path);
  const struct stat then = stat_path(image_.path);
  {
    const Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    (void)read_file(mount / "disk.raw");
    const Descriptor fd = open_disk(mount);
    EXPECT_EQ(fsync(fd.get()), 0);
  }
  EXPECT_TRUE(read_file(image_.path) == before);
  EXPECT_EQ(stat_path(image_.path).st_mtim.tv_nsec, then.st_mtim.tv_nsec);
}

TEST_P(WriteMount, RandomOperationsDoWhatTheyDoToAModel) {
  std::string model = image_.contents();
  ASSERT_EQ(model.size(), kWritableSize);
  const std::string parent = image_.parent.empty() ? "" : read_file(image_.parent);
  std::mt19937 random(7);
  const auto below = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  {
    const Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    const Descriptor cached = open_disk(mount), direct = open_disk(mount, O_RDWR | O_DIRECT);
    char* const map =
        static_cast<char*>(mmap(nullptr, model.size(), PROT_READ, MAP_SHARED, cached.get(), 0));
    ASSERT_NE(map, MAP_FAILED);
    const std::unique_ptr<char, decltype(&free)> aligned(
        static_cast<char*>(aligned_alloc(4096, 256 * KiB)), &free);
    for (unsigned i = 0; i < 4000 && !HasFailure(); ++i) {
      const bool whole = below(3) == 0;
      const size_t unit = whole ? 4096 : 1;
      size_t length = (1 + below(below(8) == 0 ? 200 * KiB : 9000)) / unit * unit;
      if (length == 0) length = unit;
      const size_t offset = below(model.size() - length) / unit * unit;
      const int fd = whole ? direct.get() : cached.get();
      const auto at = static_cast<off_t>(offset);
      const auto size = static_cast<ssize_t>(length);
      switch (below(8)) {
        case 0:
        case 1:
        case 2: {
          const std::string bytes =
              below(6) == 0 ? std::string(length, '\0') : sector_text(length, i);
          memcpy(aligned.get(), bytes.data(), length);
          ASSERT_EQ(pwrite(fd, aligned.get(), length, at), size) << strerror(errno);
          model.replace(offset, length, bytes);
          break;
        }
        case 3:
        case 4:
          ASSERT_EQ(pread(fd, aligned.get(), length, at), size);
          EXPECT_EQ(memcmp(aligned.get(), model.data() + offset, length), 0) << i;
          break;
        case 5: EXPECT_EQ(memcmp(map + offset, model.data() + offset, length), 0) << i; break;
        case 6: {
          const int mode = below(2) == 0 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
          ASSERT_EQ(fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, at, size), 0) << strerror(errno);
          model.replace(offset, length, length, '\0');
          break;
        }
        default: ASSERT_EQ(below(4) == 0 ? fsync(fd) : 0, 0);
      }
    }
    munmap(map, model.size());
    EXPECT_TRUE(read_file(mount / "disk.raw") == model);
  }
  EXPECT_TRUE(image_.contents() == model);
  EXPECT_EQ(image_.check().corruptions, 0u);
  EXPECT_TRUE(parent.empty() || read_file(image_.parent) == parent);
}

TEST_P(WriteMount, CuttingOnOpenIsIgnoredSoThatDdAndCpWork) {
  const std::string disk = sector_text(kWritableSize, 3);
  write_file(dir_ / "new", disk);
  {
    const Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    const std::string old = read_file(mount / "disk.raw");
    { const Descriptor fd = open_disk(mount, O_WRONLY | O_TRUNC); }
    EXPECT_TRUE(read_file(mount / "disk.raw") == old);
    EXPECT_EQ(run({"dd", "if=" + dir_ / "new", "of=" + mount / "disk.raw", "bs=100k", "count=1",
                   "status=none"})
                  .status,
              0);
    EXPECT_EQ(stat_path(mount / "disk.raw").st_size, static_cast<off_t>(kWritableSize));
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk.substr(0, 102400) + old.substr(102400));
    EXPECT_EQ(run({"cp", dir_ / "new", mount / "disk.raw"}).status, 0);
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk);
  }
  EXPECT_TRUE(image_.contents() == disk);
}

TEST_P(WriteMount, TheDiskEndsWhereItEnds) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  const std::string bytes = sector_text(8192);
  const auto end = static_cast<off_t>(kWritableSize);
  EXPECT_EQ(pwrite(fd.get(), bytes.data(), 8192, end - 4096), 4096);
  EXPECT_EQ(pwrite(fd.get(), bytes.data(), 8192, end), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(pwrite(fd.get(), bytes.data(), 1, end + GiB), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(stat_path(mount / "disk.raw").st_size, end);
  EXPECT_TRUE(read_file(mount / "disk.raw").substr(kWritableSize - 4096) == bytes.substr(0, 4096));
}

TEST_P(WriteMount, ADiskHasOneSize) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  const auto end = static_cast<off_t>(kWritableSize);
  EXPECT_EQ(ftruncate(fd.get(), end), 0);
  for (const off_t other : {off_t{0}, end - 1, end + 1}) {
    EXPECT_EQ(ftruncate(fd.get(), other), -1) << other;
    EXPECT_EQ(errno, EPERM);
  }
  EXPECT_EQ(fallocate(fd.get(), 0, 0, end), 0);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, end + 1), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(stat_path(mount / "disk.raw").st_size, end);
}

TEST_P(WriteMount, TimesMayBeSetButModeAndOwnerAreTheImages) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const std::string disk = mount / "disk.raw";
  const struct stat st = stat_path(disk);
  EXPECT_EQ(utimes(disk.c_str(), nullptr), 0);
  EXPECT_EQ(chmod(disk.c_str(), st.st_mode & 07777U), 0);
  EXPECT_EQ(chmod(disk.c_str(), 0777), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(chown(disk.c_str(), st.st_uid + 1, st.st_gid), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(setxattr(disk.c_str(), "user.x", "x", 1, 0), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(open((mount / "info.json").c_str(), O_RDWR | O_CLOEXEC), -1);
}

TEST_P(WriteMount, TheTimeMovesWithTheFirstWriteNotWithOpening) {
  const struct timeval old[2] = {{1000000000, 0}, {1000000000, 0}};
  ASSERT_EQ(utimes(image_.path.c_str(), old), 0);
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  EXPECT_EQ(stat_path(mount / "disk.raw").st_mtim.tv_sec, 1000000000);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 0), 1);
  EXPECT_GT(stat_path(mount / "disk.raw").st_mtim.tv_sec, 1700000000);
}

TEST_P(WriteMount, SpaceThatIsWrittenToIsCounted) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  const blkcnt_t before = stat_path(mount / "disk.raw").st_blocks;
  const std::string bytes = sector_text(kWritableSize);
  ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  ASSERT_EQ(fsync(fd.get()), 0);
  EXPECT_GT(stat_path(mount / "disk.raw").st_blocks, before);
  EXPECT_LE(stat_path(mount / "disk.raw").st_blocks, static_cast<blkcnt_t>(kWritableSize / 512));
}

TEST_P(WriteMount, TenThousandWritesDoNotBringTenThousandQuestions) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  const auto before = live(mount);
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(pwrite(fd.get(), "x", 1, i % 4096), 1);
  const auto after = live(mount);
  EXPECT_EQ(after["writes"].get<int>() - before["writes"].get<int>(), 10000);
  EXPECT_LE(after["attribute_requests"].get<int>() - before["attribute_requests"].get<int>(), 20);
}

TEST_P(RawWriteMount, DiscardedSpaceGoesBackToTheHostUnlessItIsToBeKept) {
  const auto discard_all = [&](const std::string& option) {
    std::vector<std::string> options = image_.options;
    options.push_back(option);
    const Mount mount(image_.path, options);
    const Descriptor fd = open_disk(mount);
    const std::string bytes = sector_text(kWritableSize);
    EXPECT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                        static_cast<off_t>(kWritableSize)),
              0);
    EXPECT_EQ(fsync(fd.get()), 0);
    EXPECT_TRUE(read_file(mount / "disk.raw") == std::string(kWritableSize, '\0'));
    return stat_path(image_.path).st_blocks;
  };
  const blkcnt_t full = stat_path(image_.path).st_blocks;
  ASSERT_GT(full, 0);
  EXPECT_GE(discard_all("-odiscard=off"), full);
  EXPECT_EQ(discard_all("-odiscard=on"), 0);
}

TEST_P(RawWriteMount, SeekFindsWhatWasWrittenAndPunched) {
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_disk(mount);
  const auto middle = static_cast<off_t>(kWritableSize / 2);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), middle);
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), 1 << 20);
  const std::string bytes = sector_text(64 * KiB);
  ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), middle + (1 << 20)), 65536);
  EXPECT_EQ(lseek(fd.get(), middle, SEEK_DATA), middle + (1 << 20));
}

TEST_P(WriteMount, ANewPartitionTableIsSeen) {
  write_file(dir_ / "table", partitioned_disk().substr(0, 512));
  const Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  EXPECT_NE(access((mount / "partitions/1.raw").c_str(), F_OK), 0);
  ASSERT_EQ(run({"cp", dir_ / "table", mount / "disk.raw"}).status, 0);
  EXPECT_EQ(stat_path(mount / "partitions/1.raw").st_size,
            static_cast<off_t>(kFirstPartition.length));
  EXPECT_EQ(stat_path(mount / "partitions/2.raw").st_size,
            static_cast<off_t>(kSecondPartition.length));
}

TEST_P(WriteMount, NamesAreNotMadeAndNotRemoved) {
  Mount mount(image_.path, image_.options);
  ASSERT_TRUE(mount.mounted());
  mount.expect_messages();
  EXPECT_EQ(mkdir((mount / "snapshots/new").c_str(), 0755), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_THAT(mount.messages(), HasSubstr("have no snapshots inside"));
  EXPECT_EQ(mkdir((mount / "new").c_str(), 0755), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(unlink((mount / "disk.raw").c_str()), -1);
  EXPECT_EQ(errno, EPERM);
  if (image_.parent.empty()) return;
  EXPECT_EQ(rmdir((mount / "snapshots/base.vdi").c_str()), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(rename((mount / "snapshots/base.vdi").c_str(), (mount / "snapshots/x").c_str()), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(open((mount / "snapshots/base.vdi/disk.raw").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
}

}  // namespace
}  // namespace platter::fusefs
