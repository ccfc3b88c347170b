// -o direct: no page of a disk is kept, and writers do not wait for one another.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/created_image.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

constexpr uint64_t kSize = 64 * MiB;
constexpr unsigned kWriters = 8;

class DirectMount : public testing::TestWithParam<HowMade> {
 protected:
  std::vector<std::string> options() const { return image_.options({"-o", "direct"}); }
  const TempDir dir_;
  const CreatedImage image_{GetParam(), dir_.path(), kSize};
};

INSTANTIATE_TEST_SUITE_P(Images, DirectMount, testing::ValuesIn(ways_to_make()),
                         [](const auto& param) { return param.param.name; });

Descriptor open_disk(const Mount& mount, int flags = O_RDWR) {
  return Descriptor(open((mount / "disk.raw").c_str(), flags | O_CLOEXEC));
}

// What a writer puts at a place: no two of them the same.
uint64_t word_of(unsigned writer, uint64_t offset) { return offset * kWriters + writer + 1; }

TEST_P(DirectMount, KeepsWhatEightWritersWriteSideBySide) {
  constexpr uint64_t kPart = kSize / kWriters;
  constexpr uint64_t kStep = 20'000;  // in no step with sectors or clusters
  {
    const Mount mount(image_.path(), options());
    ASSERT_TRUE(mount.mounted());
    std::vector<std::thread> writers;
    for (unsigned writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        const Descriptor disk = open_disk(mount);
        for (uint64_t at = writer * kPart; at + 8 <= (writer + 1) * kPart; at += kStep) {
          const uint64_t word = word_of(writer, at);
          EXPECT_EQ(pwrite(disk.get(), &word, sizeof word, static_cast<off_t>(at)), 8);
        }
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  EXPECT_EQ(image_.fault(), "");
  const Mount mount(image_.path(), options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor disk = open_disk(mount, O_RDONLY);
  for (unsigned writer = 0; writer < kWriters; ++writer) {
    for (uint64_t at = writer * kPart; at + 8 <= (writer + 1) * kPart; at += kStep) {
      uint64_t word = 0;
      ASSERT_EQ(pread(disk.get(), &word, sizeof word, static_cast<off_t>(at)), 8);
      ASSERT_EQ(word, word_of(writer, at)) << at;
    }
  }
}

TEST_P(DirectMount, ShowsAWriteToOtherHandlesAtOnce) {
  const Mount mount(image_.path(), options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor one = open_disk(mount), other = open_disk(mount, O_RDONLY);
  char seen = 0;
  for (const char c : {'a', 'b', 'c'}) {
    ASSERT_EQ(pwrite(one.get(), &c, 1, 12345), 1);
    ASSERT_EQ(pread(other.get(), &seen, 1, 12345), 1);
    EXPECT_EQ(seen, c);
  }
}

TEST_P(DirectMount, RefusesAMappingThatWouldNeedPages) {
  const Mount mount(image_.path(), options());
  ASSERT_TRUE(mount.mounted());
  const Descriptor disk = open_disk(mount);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, disk.get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, ENODEV);
}

TEST_P(DirectMount, CarriesAFilesystemOnALoopDevice) {
  if (const std::string why = no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  const std::string text(300'000, 'f');
  {
    const Mount mount(image_.path(), options());
    ASSERT_TRUE(mount.mounted());
    const LoopDevice loop(mount / "disk.raw", true);
    const FilesystemKind ext4{"ext4"};
    ASSERT_EQ(ext4.make(loop.path()), "");
    MountedFilesystem filesystem(loop.path(), "ext4", dir_ / "files");
    ASSERT_EQ(filesystem.error(), "");
    write_file(dir_ / "files/a", text);
    filesystem.unmount();
  }
  const Mount mount(image_.path(), options());
  const LoopDevice loop(mount / "disk.raw", true);
  EXPECT_EQ(FilesystemKind{"ext4"}.fault(loop.path()), "");
  const MountedFilesystem filesystem(loop.path(), "ext4", dir_ / "files");
  EXPECT_EQ(read_file(dir_ / "files/a"), text);
}

}  // namespace
}  // namespace platter::fusefs
