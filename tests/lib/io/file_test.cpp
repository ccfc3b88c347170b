// What File builds on top of read_some: nothing may rely on a read being answered whole.
#include "lib/io/file.h"

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using test::bytes_of;
using test::text_of;

// Hands out one byte at a time, and fails at one place.
class Trickle final : public File {
 public:
  explicit Trickle(std::string text, uint64_t bad = UINT64_MAX)
      : text_(std::move(text)), bad_(bad) {}
  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override { return FileStat{.size = text_.size()}; }
  Result<void> write(uint64_t /*offset*/, Bytes /*data*/) override { return {}; }
  Result<void> resize(uint64_t /*size*/) override { return {}; }
  Result<void> sync() override { return {}; }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    if (offset == bad_) return Error(Errc::io, "trickle: cannot read", 5);
    if (offset >= text_.size()) return size_t{0};
    out[0] = static_cast<std::byte>(text_[offset]);
    return size_t{1};
  }
  std::string name_ = "trickle";
  std::string text_;
  uint64_t bad_;
};

TEST(File, ReadExactPutsShortReadsTogether) {
  const Trickle file("hello world");
  std::vector<std::byte> out(5);
  ASSERT_TRUE(file.read_exact(6, out));
  EXPECT_EQ(text_of(out), "world");
}

TEST(File, ReadExactPastTheEndSaysHowMuchIsMissing) {
  const Trickle file("hello");
  std::vector<std::byte> out(10);
  const auto result = file.read_exact(2, out);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::corrupt);
  EXPECT_EQ(result.error().message(), "trickle: truncated: 7 bytes at 5 are missing");
}

TEST(File, ReadExactOfNothingSucceedsAnywhere) {
  const Trickle file("hello");
  EXPECT_TRUE(file.read_exact(UINT64_MAX, {}));
}

TEST(File, ReadPaddedFillsWithZeroes) {
  const Trickle file("hello");
  std::vector<std::byte> out(4, std::byte{0xff});
  ASSERT_TRUE(file.read_padded(3, out));
  EXPECT_EQ(text_of(out), std::string("lo\0\0", 4));
  ASSERT_TRUE(file.read_padded(1000, out));
  EXPECT_EQ(text_of(out), std::string(4, '\0'));
}

TEST(File, ReadAvailableStopsAtTheEnd) {
  const Trickle file("hello");
  std::vector<std::byte> out(10);
  EXPECT_EQ(*file.read_available(1, out), 4U);
  EXPECT_EQ(*file.read_available(5, out), 0U);
}

TEST(File, AnErrorInTheMiddleIsAnErrorAndNoShortRead) {
  const Trickle file("hello", 3);
  std::vector<std::byte> out(5);
  EXPECT_FALSE(file.read_available(0, out));
  EXPECT_FALSE(file.read_padded(0, out));
  const auto result = file.read_exact(0, out);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::io);
  EXPECT_EQ(result.error().sys_errno(), 5);
}

TEST(File, ReadsAStructureInItsByteOrder) {
  const MemoryFile file("m", bytes_of("xx\x12\x34"));
  const auto value = file.read_struct<be16>(2);
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 0x1234);
  EXPECT_FALSE(file.read_struct<be32>(2));
}

TEST(File, WithoutKnowledgeOfHolesAllIsData) {
  const Trickle file("hello");
  const auto run = file.run_at(3);
  ASSERT_TRUE(run);
  EXPECT_TRUE(run->data);
  EXPECT_EQ(run->range, (Range{0, 5}));
  EXPECT_FALSE(file.run_at(5));
}

}  // namespace
}  // namespace platter
