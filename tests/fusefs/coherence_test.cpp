// disk.raw and its partitions are the same bytes, whoever writes them and whoever reads them.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

class Coherence : public testing::TestWithParam<const char*> {
 protected:
  static Descriptor open_file(const std::string& path, int flags = O_RDWR) {
    Descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
    EXPECT_TRUE(fd) << path << ": " << strerror(errno);
    return fd;
  }

  std::string write_image() const {
    write_file(dir_ / "a.img", partitioned_disk());
    return dir_ / "a.img";
  }

  TempDir dir_;
  Mount mount_{write_image(), {"-oformat=raw", GetParam()}};
};

INSTANTIATE_TEST_SUITE_P(Threads, Coherence, testing::Values("-s", "--threads=4"),
                         [](const auto& param) {
                           return std::string(param.param) == "-s" ? "One" : "Four";
                         });

std::string read_at(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '?');
  EXPECT_EQ(pread(fd, bytes.data(), size, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
  return bytes;
}

void write_at(int fd, uint64_t offset, const std::string& bytes) {
  ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
            static_cast<ssize_t>(bytes.size()));
}

TEST_P(Coherence, EachSeesWhatWasWrittenThroughTheOtherAndThroughItself) {
  ASSERT_TRUE(mount_.mounted());
  const Descriptor disk = open_file(mount_ / "disk.raw");
  const Descriptor part = open_file(mount_ / "partitions/1.raw");
  const uint64_t start = kFirstPartition.offset;
  for (unsigned i = 0; i < 300; ++i) {
    const uint64_t at = (i * 4099) % (kFirstPartition.length - 6000);
    const std::string bytes = sector_text(6000, i);
    write_at(part.get(), at, bytes);
    ASSERT_TRUE(read_at(disk.get(), start + at, 6000) == bytes) << i;
    ASSERT_TRUE(read_at(part.get(), at, 6000) == bytes) << i;
    const std::string others = sector_text(6000, i + 1000);
    write_at(disk.get(), start + at, others);
    ASSERT_TRUE(read_at(part.get(), at, 6000) == others) << i;
    ASSERT_TRUE(read_at(disk.get(), start + at, 6000) == others) << i;
  }
}

TEST_P(Coherence, ZeroesAndDiscardsAreSeenTheSameWay) {
  ASSERT_TRUE(mount_.mounted());
  const Descriptor disk = open_file(mount_ / "disk.raw");
  const Descriptor part = open_file(mount_ / "partitions/1.raw");
  const auto zero = [](int fd, int mode, uint64_t offset) {
    return fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), 8192);
  };
  for (const int mode : {FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE}) {
    write_at(part.get(), 0, sector_text(32768, 5));
    (void)read_at(disk.get(), kFirstPartition.offset, 32768);
    ASSERT_EQ(zero(part.get(), mode, 4096), 0);
    EXPECT_TRUE(read_at(disk.get(), kFirstPartition.offset + 4096, 8192) ==
                std::string(8192, '\0'));
    ASSERT_EQ(zero(disk.get(), mode, kFirstPartition.offset + 16384), 0);
    EXPECT_TRUE(read_at(part.get(), 16384, 8192) == std::string(8192, '\0'));
  }
}

TEST_P(Coherence, AMappingOfTheDiskSeesWhatAPartitionWrites) {
  ASSERT_TRUE(mount_.mounted());
  const Descriptor disk = open_file(mount_ / "disk.raw");
  const Descriptor part = open_file(mount_ / "partitions/1.raw");
  char* const map = static_cast<char*>(mmap(nullptr, MiB, PROT_READ, MAP_SHARED, disk.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  for (unsigned i = 0; i < 50; ++i) {
    const std::string bytes = sector_text(10000, i);
    write_at(part.get(), i * 512, bytes);
    ASSERT_EQ(memcmp(map + kFirstPartition.offset + i * 512, bytes.data(), bytes.size()), 0);
  }
  munmap(map, MiB);
}

TEST_P(Coherence, BytesStoredThroughAMappingOfTheDiskAreSeenAfterASync) {
  ASSERT_TRUE(mount_.mounted());
  const Descriptor disk = open_file(mount_ / "disk.raw");
  char* const map =
      static_cast<char*>(mmap(nullptr, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, disk.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  memset(map + kFirstPartition.offset + 100, 'm', 9000);
  ASSERT_EQ(msync(map, MiB, MS_SYNC), 0);
  const Descriptor part = open_file(mount_ / "partitions/1.raw");
  EXPECT_EQ(read_at(part.get(), 100, 9000), std::string(9000, 'm'));
  munmap(map, MiB);
}

TEST_P(Coherence, HoldsWhileEverybodyReadsAndWritesAtOnce) {
  ASSERT_TRUE(mount_.mounted());
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    const Descriptor disk = open_file(mount_ / "disk.raw", O_RDONLY);
    while (!stop) (void)read_at(disk.get(), kFirstPartition.offset, kFirstPartition.length);
  });
  std::vector<std::thread> writers;
  for (unsigned w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      const Descriptor disk = open_file(mount_ / "disk.raw");
      const Descriptor part = open_file(mount_ / "partitions/1.raw");
      // Two writers share every page.
      const uint64_t at = w / 2 * 65536 + w % 2 * 2048;
      for (unsigned i = 0; i < 300; ++i) {
        const std::string bytes = sector_text(2048, i * 4 + w);
        write_at(part.get(), at, bytes);
        ASSERT_TRUE(read_at(disk.get(), kFirstPartition.offset + at, 2048) == bytes) << w << i;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  reader.join();
}

TEST_P(Coherence, WhatAPartitionDiscardsPastItsEndIsNotTheNextOnes) {
  ASSERT_TRUE(mount_.mounted());
  const std::string second = read_file(mount_ / "partitions/2.raw");
  const Descriptor part = open_file(mount_ / "partitions/1.raw");
  const auto end = static_cast<off_t>(kFirstPartition.length);
  ASSERT_EQ(fallocate(part.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end - 512, 8192), 0);
  EXPECT_EQ(pwrite(part.get(), second.data(), 1024, end - 512), 512);
  EXPECT_EQ(pwrite(part.get(), "x", 1, end), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_TRUE(read_file(mount_ / "partitions/2.raw") == second);
}

}  // namespace
}  // namespace platter::fusefs
