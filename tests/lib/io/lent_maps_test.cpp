#include "lib/io/lent_maps.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <fstream>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

uint64_t mapped_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    uint64_t kib = 0;
    if (word == "RssFile:" && status >> kib) return kib;
  }
  return 0;
}

TEST(LentMaps, HoldOnToNoMoreThanTheLimitHoweverMuchIsRead) {
  constexpr uint64_t kSize = 96 * MiB;
  constexpr uint64_t kSlack = 16 * MiB;
  const test::TempDir dir;
  const Descriptor fd(open((dir / "disk").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd);
  ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  ASSERT_EQ(pwrite(fd.get(), "first", 5, 0), 5);
  void* const address = mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(address, MAP_FAILED);
  const auto* const bytes = static_cast<const char*>(address);

  const uint64_t before = mapped_kib();
  LentMaps maps(before * KiB + kSlack);
  maps.add(static_cast<std::byte*>(address), kSize, fd.get());
  uint64_t most = 0;
  for (uint64_t at = 0; at < kSize; at += 4 * KiB) {
    maps.lend();
    const volatile char touched = bytes[at];
    EXPECT_EQ(touched, at == 0 ? 'f' : '\0');
    if (at % MiB == 0) most = std::max(most, mapped_kib());
  }
  // The kernel maps some pages around each one that is read, and a look comes now and then.
  EXPECT_LT(most, before + (kSlack + 32 * MiB) / KiB);
  EXPECT_EQ(std::string_view(bytes, 5), "first");
  // What is written now is seen through the mapping that was there before.
  ASSERT_EQ(pwrite(fd.get(), "later", 5, 40 * MiB), 5);
  EXPECT_EQ(std::string_view(bytes + 40 * MiB, 5), "later");
  maps.remove(fd.get());
}

}  // namespace
}  // namespace platter
