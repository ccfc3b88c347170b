#include "lib/io/zero_runs.h"

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/support/wrapped_file.h"

namespace platter {
namespace {

TEST(ReadsAsZeroes, FindsTheOneByteThatIsNot) {
  MemoryFile file("f");
  const std::byte one{1};
  ASSERT_TRUE(file.write(5 * MiB - 1, Bytes(&one, 1)));
  const auto zeroes = [&](uint64_t offset, uint64_t length) {
    const auto found = reads_as_zeroes(file, {offset, length});
    EXPECT_TRUE(found);
    return found && *found;
  };
  EXPECT_TRUE(zeroes(0, 5 * MiB - 1));
  EXPECT_FALSE(zeroes(0, 5 * MiB));
  EXPECT_FALSE(zeroes(5 * MiB - 1, 1));
  // Nothing, what lies past the end, and both.
  EXPECT_TRUE(zeroes(17, 0));
  EXPECT_TRUE(zeroes(5 * MiB, GiB));
  EXPECT_FALSE(zeroes(MiB, GiB));
}

TEST(ReadsAsZeroes, ReadsNoHolesAndNoMoreThanItHasTo) {
  const auto memory = std::make_shared<MemoryFile>("f");
  ASSERT_TRUE(memory->write(100 * MiB, std::vector<std::byte>(8 * MiB)));
  const std::byte one{1};
  ASSERT_TRUE(memory->write(104 * MiB, Bytes(&one, 1)));
  uint64_t reads = 0;
  const test::WrappedFile file(memory, [&](test::Call call) -> Result<void> {
    if (call == test::Call::read) ++reads;
    return {};
  });
  const auto read = [&](const Range& range) {
    reads = 0;
    EXPECT_TRUE(reads_as_zeroes(file, range));
    return reads;
  };
  EXPECT_EQ(read({0, 100 * MiB}), 0u);
  const uint64_t few = read({104 * MiB, 4 * MiB});
  EXPECT_LT(few, 10u);
  EXPECT_LT(few, read({100 * MiB, 4 * MiB}));
}

TEST(ReadsAsZeroes, TellsOfAByteThatCannotBeRead) {
  const auto memory = std::make_shared<MemoryFile>("f");
  ASSERT_TRUE(memory->write(0, std::vector<std::byte>(KiB)));
  const test::WrappedFile file(memory, [](test::Call) { return Error(Errc::io, "no"); });
  EXPECT_FALSE(reads_as_zeroes(file, {0, KiB}));
}

}  // namespace
}  // namespace platter
