// The bytes of a mount, by every way of reading them.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

// An open file, closed when it goes.
class Opened {
 public:
  explicit Opened(const std::string& path, int flags = 0)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | flags)) {
    EXPECT_GE(fd_, 0) << path;
  }
  ~Opened() { close(fd_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  int fd() const { return fd_; }
  off_t seek(off_t offset, int whence) const {
    const off_t at = lseek(fd_, offset, whence);
    return at >= 0 ? at : -errno;
  }
  std::string at(off_t offset, size_t size) const {
    std::string bytes(size, '\0');
    const ssize_t n = pread(fd_, bytes.data(), size, offset);
    bytes.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return bytes;
  }

 private:
  int fd_;
};

// 8 MiB and a part of a sector: data, a hole of 2 MiB, data with small holes in it.
class ReadMount : public testing::Test {
 protected:
  static constexpr uint64_t kSize = 8 * MiB + 100;
  ReadMount() {
    write_sparse(dir_ / "a.img", kSize,
                 {{0, 3 * MiB}, {5 * MiB, 64 * KiB}, {6 * MiB, 4 * KiB}, {7 * MiB, MiB + 100}});
    contents_ = read_file(dir_ / "a.img");
  }
  TempDir dir_;
  std::string contents_;
};

TEST_F(ReadMount, BufferedReadsGiveTheImagesBytes) {
  const Mount mount(dir_ / "a.img");
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == contents_);
}

TEST_F(ReadMount, DirectReadsOfEverySizeGiveTheImagesBytes) {
  const Mount mount(dir_ / "a.img");
  ASSERT_TRUE(mount.mounted());
  const Opened disk(mount / "disk.raw", O_DIRECT);
  for (const size_t size : {512u, 4096u, 12288u, 65536u, 1048576u, 3145728u}) {
    const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(4096, 4 * MiB),
                                                        std::free);
    const auto* const bytes = static_cast<const char*>(buffer.get());
    for (uint64_t at = 0; at < kSize; at += size * 3) {
      const ssize_t n = pread(disk.fd(), buffer.get(), size, static_cast<off_t>(at));
      ASSERT_EQ(n, static_cast<ssize_t>(std::min<uint64_t>(size, kSize - at)));
      ASSERT_TRUE(contents_.compare(at, static_cast<size_t>(n), bytes, static_cast<size_t>(n)) == 0)
          << at << " " << size;
    }
  }
}

TEST_F(ReadMount, ASharedMappingShowsTheImagesBytes) {
  const Mount mount(dir_ / "a.img");
  ASSERT_TRUE(mount.mounted());
  const Opened disk(mount / "disk.raw");
  void* const map = mmap(nullptr, kSize, PROT_READ, MAP_SHARED, disk.fd(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_TRUE(std::string_view(static_cast<const char*>(map), kSize) == contents_);
  munmap(map, kSize);
}

TEST_F(ReadMount, EightReadersAtOnceGiveTheImagesBytes) {
  const Mount mount(dir_ / "a.img");
  ASSERT_TRUE(mount.mounted());
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (unsigned reader = 0; reader < 8; ++reader) {
    readers.emplace_back([&, reader] {
      const Opened disk(mount / "disk.raw", reader % 2 == 0 ? O_DIRECT : 0);
      std::mt19937_64 random(reader);
      const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(4096, MiB), std::free);
      for (int i = 0; i < 200; ++i) {
        const uint64_t at = random() % (kSize / 4096) * 4096;
        const size_t size = size_t{4096} << (random() % 8);
        const ssize_t n = pread(disk.fd(), buffer.get(), size, static_cast<off_t>(at));
        const size_t wanted = std::min<uint64_t>(size, kSize - at);
        if (n != static_cast<ssize_t>(wanted) ||
            contents_.compare(at, wanted, static_cast<const char*>(buffer.get()), wanted) != 0) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(ReadMount, AReadAcrossTheEndIsCutThereAndOneBehindItIsEmpty) {
  const Mount mount(dir_ / "a.img");
  ASSERT_TRUE(mount.mounted());
  const Opened disk(mount / "disk.raw");
  EXPECT_EQ(disk.at(kSize - 10, 100), contents_.substr(kSize - 10));
  EXPECT_EQ(disk.at(kSize, 100), "");
  EXPECT_EQ(disk.at(kSize + MiB, 100), "");
}

TEST_F(ReadMount, SeekingFollowsTheHolesOfTheImage) {
  const Mount mount(dir_ / "a.img");
  ASSERT_TRUE(mount.mounted());
  const Opened host(dir_ / "a.img");
  const Opened disk(mount / "disk.raw");
  for (const off_t at :
       {off_t{0}, off_t{MiB}, off_t{3 * MiB}, off_t{4 * MiB}, off_t{5 * MiB}, off_t{6 * MiB + 1},
        off_t{7 * MiB}, off_t{kSize - 1}, off_t{kSize}, off_t{kSize + 1}}) {
    EXPECT_EQ(disk.seek(at, SEEK_DATA), host.seek(at, SEEK_DATA)) << at;
    EXPECT_EQ(disk.seek(at, SEEK_HOLE), host.seek(at, SEEK_HOLE)) << at;
  }
}

TEST(Seek, InAPartitionEndsWithThePartition) {
  const TempDir dir;
  write_file(dir / "a.img", partitioned_disk());
  const Mount mount(dir / "a.img");
  ASSERT_TRUE(mount.mounted());
  const Opened part(mount / "partitions/2.raw");
  EXPECT_EQ(part.seek(0, SEEK_DATA), 0);
  EXPECT_EQ(part.seek(0, SEEK_HOLE), static_cast<off_t>(kSecondPartition.length));
  EXPECT_EQ(part.seek(static_cast<off_t>(kSecondPartition.length), SEEK_HOLE), -ENXIO);
  EXPECT_EQ(part.at(static_cast<off_t>(kSecondPartition.length) - 5, 100).size(), 5u);
}

TEST(Read, ManySmallPiecesOfTwoLayersMakeOneReply) {
  const TempDir dir;
  write_file(dir / "base.img", sector_text(kOverlaySize));
  write_overlay(dir / "top.qcow2", "base.img", "raw");
  const Mount mount(dir / "top.qcow2");
  ASSERT_TRUE(mount.mounted());
  const Opened disk(mount / "disk.raw", O_DIRECT);
  const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(4096, kOverlaySize),
                                                      std::free);
  ASSERT_EQ(pread(disk.fd(), buffer.get(), kOverlaySize, 0), static_cast<ssize_t>(kOverlaySize));
  std::string wanted = sector_text(kOverlaySize);
  wanted.replace(0, 512, std::string(512, '\xd5'));
  EXPECT_TRUE(std::string_view(static_cast<char*>(buffer.get()), kOverlaySize) == wanted);
}

TEST(Read, AFileThatShrankIsAnErrorThatIsLogged) {
  const TempDir dir;
  write_file(dir / "a.img", sector_text(4 * MiB));
  Mount mount(dir / "a.img", {"-oformat=raw"});
  ASSERT_TRUE(mount.mounted());
  mount.expect_messages();
  const Opened disk(mount / "disk.raw", O_DIRECT);
  const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(4096, MiB), std::free);
  ASSERT_EQ(pread(disk.fd(), buffer.get(), MiB, 2 * MiB), static_cast<ssize_t>(MiB));
  ASSERT_EQ(truncate((dir / "a.img").c_str(), MiB), 0);
  EXPECT_EQ(pread(disk.fd(), buffer.get(), MiB, 2 * MiB), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_TRUE(comes_true([&] {
    return mount.messages().find(dir / "a.img: cannot read") != std::string::npos;
  })) << mount.messages();
  EXPECT_EQ(pread(disk.fd(), buffer.get(), MiB, 0), static_cast<ssize_t>(MiB));
}

}  // namespace
}  // namespace platter::fusefs
