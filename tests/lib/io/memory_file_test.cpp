#include "lib/io/memory_file.h"

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/bytes.h"

namespace platter {
namespace {

using test::bytes_of;
using test::read_text;

TEST(MemoryFile, GivesBackWhatWasWritten) {
  MemoryFile file("m", bytes_of("hello"));
  EXPECT_EQ(file.name(), "m");
  EXPECT_EQ(file.stat()->size, 5U);
  EXPECT_EQ(read_text(file, 0, 5), "hello");
  ASSERT_TRUE(file.write(3, bytes_of("p me")));
  EXPECT_EQ(read_text(file, 0, 100), "help me");
}

TEST(MemoryFile, WritesAcrossPages) {
  MemoryFile file;
  const auto data = test::pattern(0, 10000, 1);
  ASSERT_TRUE(file.write(4090, data));
  std::vector<std::byte> out(10000);
  ASSERT_TRUE(file.read_exact(4090, out));
  EXPECT_EQ(out, data);
  EXPECT_EQ(read_text(file, 4088, 2), std::string(2, '\0'));
}

TEST(MemoryFile, KeepsNoMemoryForHoles) {
  MemoryFile file;
  ASSERT_TRUE(file.write(uint64_t{1} << 60, bytes_of("x")));
  EXPECT_EQ(file.stat()->size, (uint64_t{1} << 60) + 1);
  EXPECT_EQ(file.stat()->allocated, 4096U);
  EXPECT_EQ(read_text(file, uint64_t{1} << 50, 3), std::string(3, '\0'));
}

TEST(MemoryFile, WritingNothingDoesNotGrowIt) {
  MemoryFile file;
  ASSERT_TRUE(file.write(100, {}));
  EXPECT_EQ(file.stat()->size, 0U);
}

TEST(MemoryFile, ReadsNothingAtAndPastItsEnd) {
  MemoryFile file("m", bytes_of("hello"));
  EXPECT_EQ(read_text(file, 5, 10), "");
  EXPECT_EQ(read_text(file, UINT64_MAX, 10), "");
}

TEST(MemoryFile, RefusesToGrowPastTheLargestOffset) {
  MemoryFile file;
  EXPECT_FALSE(file.write(kMaxOffset, bytes_of("x")));
  EXPECT_FALSE(file.write(UINT64_MAX, bytes_of("xx")));
  EXPECT_FALSE(file.resize(kMaxOffset + 1));
  EXPECT_EQ(file.stat()->size, 0U);
  EXPECT_TRUE(file.resize(kMaxOffset));
}

TEST(MemoryFile, CutBytesAreZeroWhenItGrowsAgain) {
  MemoryFile file("m", test::pattern(0, 9000, 1));
  ASSERT_TRUE(file.resize(4100));
  ASSERT_TRUE(file.resize(9000));
  std::vector<std::byte> out(9000);
  ASSERT_TRUE(file.read_exact(0, out));
  auto expected = test::pattern(0, 4100, 1);
  expected.resize(9000);
  EXPECT_EQ(out, expected);
  ASSERT_TRUE(file.resize(4096));
  ASSERT_TRUE(file.resize(0));
  EXPECT_EQ(file.stat()->allocated, 0U);
}

TEST(MemoryFile, TellsDataFromHoles) {
  MemoryFile file;
  ASSERT_TRUE(file.write(4096, test::pattern(0, 8192, 1)));
  ASSERT_TRUE(file.resize(20000));
  EXPECT_EQ(file.run_at(0)->range, (Range{0, 4096}));
  EXPECT_FALSE(file.run_at(0)->data);
  const auto data = file.run_at(5000);
  EXPECT_TRUE(data->data);
  EXPECT_EQ(data->range.end(), 12288U);
  EXPECT_FALSE(file.run_at(12288)->data);
  EXPECT_EQ(file.run_at(12288)->range.end(), 20000U);
}

TEST(MemoryFile, ARunEndsWithTheFile) {
  MemoryFile file("m", bytes_of("hello"));
  EXPECT_EQ(file.run_at(0)->range, (Range{0, 5}));
  const auto past = file.run_at(5);
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().message(), "m: truncated: nothing at 5");
}

TEST(MemoryFile, TwoOfThemDifferInIdentity) {
  const MemoryFile a;
  const MemoryFile b;
  EXPECT_NE(a.stat()->inode, b.stat()->inode);
}

TEST(MemoryFile, ManyThreadsReadWhileOneWrites) {
  MemoryFile file("m", test::pattern(0, 64 * KiB, 1));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      std::vector<std::byte> out(1000);
      for (uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(file.read_exact(i * 100, out));
    });
  }
  for (uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(file.write(i * 4096, bytes_of("x")));
}

TEST(MemoryFile, ThatBecameAnotherOneChangesByItself) {
  const std::vector<std::byte> ones(10000, std::byte{1});
  MemoryFile a("a", ones);
  MemoryFile b("b", Bytes(ones).first(10));
  b.become(a);
  EXPECT_EQ(b.stat()->size, 10000u);
  const std::vector<std::byte> twos(5000, std::byte{2});
  ASSERT_TRUE(b.write(100, twos));
  ASSERT_TRUE(a.resize(9000));
  ASSERT_TRUE(a.resize(10000));
  std::vector<std::byte> of_a(10000), of_b(10000);
  ASSERT_TRUE(a.read_exact(0, of_a));
  ASSERT_TRUE(b.read_exact(0, of_b));
  EXPECT_EQ(of_a[100], std::byte{1});
  EXPECT_EQ(of_a[9500], std::byte{0});
  EXPECT_EQ(of_b[100], std::byte{2});
  EXPECT_EQ(of_b[9500], std::byte{1});
}

}  // namespace
}  // namespace platter
