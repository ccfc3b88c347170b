// With -o resize the disk of a mount grows while it is used.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/container/container.h"
#include "lib/io/posix_file.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using testing::HasSubstr;
using namespace platter::test;

uint64_t size_of(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return static_cast<uint64_t>(st.st_size);
}

uint64_t size_of(int fd) {
  struct stat st = {};
  EXPECT_EQ(fstat(fd, &st), 0);
  return static_cast<uint64_t>(st.st_size);
}

Descriptor open_file(const std::string& path, int flags = O_RDWR) {
  Descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
  EXPECT_TRUE(fd) << path << ": " << strerror(errno);
  return fd;
}

std::string read_at(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '?');
  EXPECT_EQ(pread(fd, bytes.data(), size, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
  return bytes;
}

ssize_t write_at(int fd, uint64_t offset, const std::string& bytes) {
  return pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
}

int truncate_to(int fd, uint64_t size) { return ftruncate(fd, static_cast<off_t>(size)); }

std::vector<std::string> with_resize(std::vector<std::string> options) {
  options.emplace_back("-oresize");
  return options;
}

class ResizeMount : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> options() const { return with_resize(image_.options); }
  TempDir dir_;
  WritableImage image_{GetParam(), dir_.path()};
};

INSTANTIATE_TEST_SUITE_P(Images, ResizeMount, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(ResizeMount, TruncateMakesTheDiskLargerForEverybody) {
  const uint64_t large = 20 * GiB;
  const std::string before = image_.contents();
  const std::string parent = image_.parent.empty() ? "" : read_file(image_.parent);
  {
    const Mount mount(image_.path, options());
    ASSERT_TRUE(mount.mounted());
    const std::string path = mount / "disk.raw";
    const Descriptor old = open_file(path), reader = open_file(path, O_RDONLY);
    EXPECT_EQ(write_at(old.get(), kWritableSize, "x"), -1);
    EXPECT_EQ(errno, ENOSPC);
    ASSERT_EQ(run({"truncate", "-s", "20G", path}).status, 0);
    EXPECT_EQ(size_of(path), large);
    EXPECT_EQ(size_of(old.get()), large);
    EXPECT_EQ(size_of(reader.get()), large);
    char attribute[32] = {};
    EXPECT_GT(getxattr(path.c_str(), "user.platter.virtual-size", attribute, 31), 0);
    EXPECT_EQ(attribute, std::to_string(large));
    EXPECT_EQ(nlohmann::json::parse(read_file(mount / "info.json"))["virtual_size"], large);
    EXPECT_TRUE(read_at(reader.get(), 0, before.size()) == before);
    EXPECT_EQ(read_at(reader.get(), 10 * GiB, 8192), std::string(8192, '\0'));
    EXPECT_EQ(write_at(old.get(), large - 5000, sector_text(5000)), 5000);
    EXPECT_EQ(write_at(old.get(), kWritableSize - 10, std::string(20, 'w')), 20);
    EXPECT_EQ(read_at(reader.get(), large - 5000, 5000), sector_text(5000));
    EXPECT_EQ(write_at(old.get(), large, "x"), -1);
    EXPECT_EQ(errno, ENOSPC);
    if (!image_.parent.empty()) {
      EXPECT_EQ(size_of(mount / "snapshots/base.vdi/disk.raw"), kWritableSize);
    }
  }
  const auto again = Container::open(image_.path, {.format = image_.options.empty() ? "" : "raw"});
  ASSERT_TRUE(again);
  const View& view = *(*again)->live();
  ASSERT_EQ(view.size(), large);
  std::string bytes(5000, '?');
  const auto span = std::as_writable_bytes(std::span(bytes));
  ASSERT_TRUE(view.read(large - 5000, span));
  EXPECT_EQ(bytes, sector_text(5000));
  ASSERT_TRUE(view.read(kWritableSize, span));
  EXPECT_EQ(bytes, std::string(10, 'w') + std::string(4990, '\0'));
  EXPECT_EQ(image_.check().corruptions, 0u);
  EXPECT_TRUE(image_.parent.empty() || read_file(image_.parent) == parent);
}

TEST_P(ResizeMount, ItIsNeverCut) {
  const Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_file(mount / "disk.raw");
  for (const uint64_t smaller : {uint64_t{0}, kWritableSize - 1}) {
    EXPECT_EQ(truncate_to(fd.get(), smaller), -1);
    EXPECT_EQ(errno, EPERM);
  }
  EXPECT_EQ(truncate_to(fd.get(), kWritableSize), 0);
  { const Descriptor cut = open_file(mount / "disk.raw", O_WRONLY | O_TRUNC); }
  EXPECT_EQ(size_of(mount / "disk.raw"), kWritableSize);
  EXPECT_EQ(truncate((mount / "info.json").c_str(), 1 << 20), -1);
}

TEST_P(ResizeMount, FallocateMakesItLargerUnlessItIsToKeepTheSize) {
  const Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_file(mount / "disk.raw");
  const auto end = static_cast<off_t>(kWritableSize);
  const std::string last = read_at(fd.get(), kWritableSize - 8192, 8192);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, end, 4096), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 4096), 0);
  EXPECT_EQ(size_of(fd.get()), kWritableSize);
  EXPECT_EQ(fallocate(fd.get(), 0, end - 100, 1024 + 100), 0);
  EXPECT_EQ(size_of(fd.get()), kWritableSize + 1024);
  EXPECT_EQ(posix_fallocate(fd.get(), 0, 2 * end), 0);
  EXPECT_EQ(size_of(mount / "disk.raw"), 2 * kWritableSize);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 2 * end - 4096, 8192), 0);
  EXPECT_EQ(size_of(fd.get()), 2 * kWritableSize + 4096);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, end - 4096, 2 * end), 0);
  EXPECT_EQ(size_of(fd.get()), 3 * kWritableSize - 4096);
  EXPECT_TRUE(read_at(fd.get(), kWritableSize - 8192, 16384) ==
              last.substr(0, 4096) + std::string(12288, '\0'));
}

// Sizes that are no multiple of a page, a sector or a block, with the last page in the cache.
TEST_P(ResizeMount, WhatIsNewIsZeroesRightBehindTheOldEnd) {
  const Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_file(mount / "disk.raw");
  std::string model = read_at(fd.get(), 0, kWritableSize);
  for (const uint64_t more : {uint64_t{1}, uint64_t{100}, uint64_t{5000}, 70 * KiB, MiB + 7}) {
    const uint64_t wanted = model.size() + more;
    if (more % 2 == 0) {
      ASSERT_EQ(posix_fallocate(fd.get(), 0, static_cast<off_t>(wanted)), 0);
    } else {
      ASSERT_EQ(truncate_to(fd.get(), wanted), 0);
    }
    const uint64_t now = size_of(mount / "disk.raw");
    // A VDI has whole sectors.
    ASSERT_GE(now, wanted);
    ASSERT_LT(now, wanted + 512);
    model.resize(now);
    EXPECT_TRUE(read_file(mount / "disk.raw") == model);
    const std::string bytes = sector_text(300, static_cast<unsigned>(more));
    ASSERT_EQ(write_at(fd.get(), now - 300, bytes), 300);
    model.replace(now - 300, 300, bytes);
    EXPECT_TRUE(read_file(mount / "disk.raw") == model);
  }
}

TEST_P(ResizeMount, ASizeThatWasReachedSurvivesTheProgramsDeath) {
  const Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_file(mount / "disk.raw");
  const std::string bytes = sector_text(100000);
  ASSERT_EQ(write_at(fd.get(), kWritableSize - 100000, bytes), 100000);
  ASSERT_EQ(truncate_to(fd.get(), kWritableSize + MiB), 0);
  kill(mount.pid(), SIGKILL);
  ASSERT_TRUE(comes_true([&] { return pwrite(fd.get(), "x", 1, 0) < 0; }));
  const std::string after = image_.contents();
  ASSERT_EQ(after.size(), kWritableSize + MiB);
  EXPECT_TRUE(after.substr(kWritableSize - 100000) == bytes + std::string(MiB, '\0'));
  EXPECT_EQ(image_.check().corruptions, 0u);
}

// Each thread has a part of the old disk and one of what is added last.
TEST_P(ResizeMount, ReadersAndWritersGoOnMeanwhile) {
  const Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  std::atomic<bool> over{false};
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Descriptor fd = open_file(mount / "disk.raw", O_RDWR | (t % 2 == 0 ? O_DIRECT : 0));
      const std::unique_ptr<char, decltype(&free)> buffer(
          static_cast<char*>(aligned_alloc(4096, 8192)), &free);
      for (unsigned i = 0; !over || i < 20; ++i) {
        const std::string bytes = sector_text(8192, i * 4 + t);
        for (const uint64_t base : {uint64_t{0}, size_of(fd.get()) / 65536 * 65536 - 65536}) {
          const auto at = static_cast<off_t>(base + t * 8192);
          memcpy(buffer.get(), bytes.data(), 8192);
          ASSERT_EQ(pwrite(fd.get(), buffer.get(), 8192, at), 8192) << strerror(errno);
          memset(buffer.get(), '?', 8192);
          ASSERT_EQ(pread(fd.get(), buffer.get(), 8192, at), 8192) << strerror(errno);
          ASSERT_EQ(memcmp(buffer.get(), bytes.data(), 8192), 0) << "at " << at;
        }
      }
    });
  }
  const Descriptor fd = open_file(mount / "disk.raw");
  for (uint64_t i = 1; i <= 100; ++i) {
    const uint64_t size = kWritableSize + i * 65536;
    ASSERT_EQ(i % 3 == 0 ? posix_fallocate(fd.get(), 0, static_cast<off_t>(size))
                         : truncate_to(fd.get(), size),
              0);
    ASSERT_EQ(size_of(fd.get()), size);
  }
  over = true;
  threads.clear();
}

TEST_P(ResizeMount, AMappingGoesOn) {
  const Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_file(mount / "disk.raw");
  char* const map = static_cast<char*>(
      mmap(nullptr, 2 * kWritableSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  memset(map, 'a', 4096);
  ASSERT_EQ(truncate_to(fd.get(), 2 * kWritableSize), 0);
  EXPECT_EQ(map[0], 'a');
  EXPECT_EQ(map[2 * kWritableSize - 1], '\0');
  memset(map + kWritableSize, 'b', 4096);
  EXPECT_EQ(msync(map, 2 * kWritableSize, MS_SYNC), 0);
  munmap(map, 2 * kWritableSize);
  const Descriptor direct = open_file(mount / "disk.raw", O_RDONLY);
  EXPECT_EQ(read_at(direct.get(), 0, 4096), std::string(4096, 'a'));
  EXPECT_EQ(read_at(direct.get(), kWritableSize, 8192),
            std::string(4096, 'b') + std::string(4096, '\0'));
}

TEST(Resize, PartitionsStayAndDoNotGrow) {
  const TempDir dir;
  write_file(dir / "a.img", partitioned_disk());
  const Mount mount(dir / "a.img", {"-oformat=raw", "-oresize"});
  ASSERT_TRUE(mount.mounted());
  const Descriptor part = open_file(mount / "partitions/2.raw");
  EXPECT_EQ(truncate_to(part.get(), kSecondPartition.length + 4096), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(fallocate(part.get(), 0, 0, static_cast<off_t>(kSecondPartition.length) + 1), -1);
  EXPECT_EQ(errno, ENOSPC);
  ASSERT_EQ(truncate((mount / "disk.raw").c_str(), 8 << 20), 0);
  EXPECT_EQ(size_of(mount / "partitions/1.raw"), kFirstPartition.length);
  EXPECT_EQ(size_of(part.get()), kSecondPartition.length);
  ASSERT_EQ(write_at(part.get(), 0, "still here"), 10);
  const Descriptor disk = open_file(mount / "disk.raw");
  EXPECT_EQ(read_at(disk.get(), kSecondPartition.offset, 10), "still here");
}

TEST(Resize, ADiskThatCannotGrowSaysWhyAndGoesOn) {
  const TempDir dir;
  ASSERT_EQ(run({program("platter"), "create", "-f", "vdi", "-o", "static=on", dir / "a.vdi", "4M"})
                .status,
            0);
  Mount mount(dir / "a.vdi", {"-oresize"});
  ASSERT_TRUE(mount.mounted());
  mount.expect_messages();
  const Descriptor fd = open_file(mount / "disk.raw");
  EXPECT_EQ(truncate_to(fd.get(), 8 * MiB), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_THAT(mount.messages(), HasSubstr("a static VDI cannot be resized"));
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 8 << 20), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(size_of(fd.get()), 4 * MiB);
  EXPECT_EQ(write_at(fd.get(), 100, "goes on"), 7);
  EXPECT_EQ(read_at(fd.get(), 100, 7), "goes on");
}

TEST(Resize, NoVdiIsThatLarge) {
  const TempDir dir;
  const WritableImage image("vdi", dir.path());
  Mount mount(image.path, with_resize(image.options));
  ASSERT_TRUE(mount.mounted());
  mount.expect_messages();
  EXPECT_EQ(truncate((mount / "disk.raw").c_str(), off_t{1} << 55), -1);
  EXPECT_EQ(errno, EFBIG);
  EXPECT_THAT(mount.messages(), HasSubstr("its block map would be too large"));
  EXPECT_EQ(size_of(mount / "disk.raw"), kWritableSize);
}

TEST(Resize, AReadOnlyMountStaysOne) {
  const TempDir dir;
  const WritableImage image("vdi", dir.path());
  const std::string before = read_file(image.path);
  {
    const Mount mount(image.path, {"-oro,resize"});
    ASSERT_TRUE(mount.mounted());
    EXPECT_EQ(truncate((mount / "disk.raw").c_str(), 8 << 20), -1);
    EXPECT_EQ(errno, EROFS);
  }
  EXPECT_TRUE(read_file(image.path) == before);
}

TEST(Resize, OneThreadIsEnough) {
  const TempDir dir;
  const WritableImage image("vdi", dir.path());
  const Mount mount(image.path, {"-s", "-oresize"});
  ASSERT_TRUE(mount.mounted());
  const Descriptor fd = open_file(mount / "disk.raw");
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_EQ(truncate_to(fd.get(), kWritableSize + i * MiB), 0);
    ASSERT_EQ(write_at(fd.get(), kWritableSize + i * MiB - 4, "last"), 4);
  }
}

}  // namespace
}  // namespace platter::fusefs
