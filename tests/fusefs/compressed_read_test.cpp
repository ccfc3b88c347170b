// Compressed images in a mount: what is decoded ahead of a reader is what the disk has there.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/convert.h"
#include "tests/support/bytes.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;

struct Case {
  std::string name;
  Options options;
  std::vector<std::string> mount;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class CompressedRead : public testing::TestWithParam<Case> {
 protected:
  static constexpr uint64_t kSize = 40 * MiB + 512;

  // Text that says where it is, some noise, a hole.
  void SetUp() override {
    while (contents_.size() < kSize) {
      const uint64_t at = contents_.size();
      if (at % (7 * MiB) < MiB / 2) {
        contents_ += text_of(noise(4096, at));
      } else {
        contents_ += "at " + std::to_string(at) + " there is this line of text, and no other\n";
      }
    }
    contents_.resize(kSize);
    std::fill_n(contents_.begin() + 20 * MiB, 3 * MiB, '\0');
    write_file(dir_ / "disk.raw", contents_);
    const auto source = Container::open(dir_ / "disk.raw", {.format = "raw"});
    ASSERT_TRUE(source);
    NoProgress progress;
    const auto made = convert({.sources = {(*source)->live()},
                               .target = {.path = dir_ / "disk.qcow2",
                                          .format = *find_format("qcow2"),
                                          .size = kSize,
                                          .options = GetParam().options,
                                          .compress = Effort::fast},
                               .threads = 2},
                              progress);
    ASSERT_TRUE(made) << made.error().message();
  }

  // From front to back in pieces of the size, past the page cache.
  void expect_right(const std::string& path, uint64_t from, size_t piece) const {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(4096, piece), std::free);
    for (uint64_t at = from; at < kSize; at += piece) {
      const ssize_t n = pread(fd, buffer.get(), piece, static_cast<off_t>(at));
      ASSERT_EQ(n, static_cast<ssize_t>(std::min<uint64_t>(piece, kSize - at)));
      ASSERT_EQ(contents_.compare(at, static_cast<size_t>(n),
                                  static_cast<const char*>(buffer.get()), static_cast<size_t>(n)),
                0)
          << at;
    }
    close(fd);
  }

  TempDir dir_;
  std::string contents_;
};

TEST_P(CompressedRead, GivesTheDisksBytesToReadersFromFrontToBack) {
  const Mount mount(dir_ / "disk.qcow2", GetParam().mount);
  ASSERT_TRUE(mount.mounted());
  const std::string path = mount / "disk.raw";
  EXPECT_TRUE(read_file(path) == contents_);
  expect_right(path, 0, MiB);
  expect_right(path, 4096, 128 * KiB);
  std::vector<std::jthread> readers;
  for (uint64_t reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] { expect_right(path, reader * 10 * MiB, 256 * KiB); });
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CompressedRead,
    testing::Values(Case{"zlib", {}, {}}, Case{"written", {}, {"-o", "rw"}},
                    Case{"small_cache", {}, {"-o", "cache=1M"}},
                    Case{"no_cache", {{"cluster_size", "2M"}}, {"-o", "cache=64k"}},
                    Case{"one_thread", {{"compression_type", "zstd"}}, {"-s"}},
                    Case{"small_clusters", {{"cluster_size", "4k"}}, {}}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::fusefs
