#include "lib/io/window_file.h"

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using test::bytes_of;
using test::read_text;

FilePtr memory(std::string_view text) { return std::make_shared<MemoryFile>("m", bytes_of(text)); }

TEST(WindowFile, ShowsOnlyItsPart) {
  const WindowFile window(memory("hello world"), {6, 3});
  EXPECT_EQ(window.stat()->size, 3U);
  EXPECT_EQ(read_text(window, 0, 100), "wor");
  EXPECT_EQ(read_text(window, 1, 1), "o");
  EXPECT_EQ(read_text(window, 3, 1), "");
  EXPECT_EQ(read_text(window, UINT64_MAX, 1), "");
}

TEST(WindowFile, EndsWhereTheFileEndsEarlier) {
  const WindowFile window(memory("hello"), {3, 100});
  EXPECT_EQ(window.stat()->size, 2U);
  EXPECT_EQ(read_text(window, 0, 100), "lo");
  EXPECT_EQ(window.run_at(0)->range, (Range{0, 2}));
  EXPECT_FALSE(window.run_at(2));
}

TEST(WindowFile, PastTheFileIsEmpty) {
  const WindowFile window(memory("hello"), {50, 100});
  EXPECT_EQ(window.stat()->size, 0U);
  EXPECT_EQ(read_text(window, 0, 100), "");
  EXPECT_FALSE(window.run_at(0));
}

TEST(WindowFile, TellsHolesFromItsOwnStart) {
  const auto file = std::make_shared<MemoryFile>();
  ASSERT_TRUE(file->write(8192, test::pattern(0, 4096, 1)));
  ASSERT_TRUE(file->resize(20000));
  const WindowFile window(file, {4096, 10000});
  EXPECT_EQ(window.run_at(0)->range, (Range{0, 4096}));
  EXPECT_FALSE(window.run_at(0)->data);
  EXPECT_EQ(window.run_at(5000)->range.end(), 8192U);
  EXPECT_TRUE(window.run_at(5000)->data);
  EXPECT_EQ(window.run_at(9000)->range.end(), 10000U);
  EXPECT_FALSE(window.run_at(10000));
}

TEST(WindowFile, CannotBeChanged) {
  WindowFile window(memory("hello"), {0, 5});
  const auto write = window.write(0, bytes_of("x"));
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().code(), Errc::read_only);
  EXPECT_FALSE(window.resize(1));
  EXPECT_TRUE(window.sync());
}

TEST(WindowFile, HasTheIdentityOfItsFile) {
  const FilePtr file = memory("hello");
  const WindowFile window(file, {1, 2});
  EXPECT_EQ(window.stat()->inode, file->stat()->inode);
  EXPECT_EQ(window.name(), "m");
  // And is another file than what begins elsewhere in it.
  EXPECT_FALSE(window.stat()->same_file(*file->stat()));
  EXPECT_FALSE(window.stat()->same_file(*WindowFile(file, {2, 2}).stat()));
  EXPECT_TRUE(window.stat()->same_file(*WindowFile(file, {1, 1}).stat()));
}

TEST(WindowFile, MayHaveANameOfItsOwn) {
  const WindowFile window(memory("hello"), {1, 2}, "m/part");
  EXPECT_EQ(window.name(), "m/part");
}

}  // namespace
}  // namespace platter
