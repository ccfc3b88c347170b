#include "lib/ops/new_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::bytes_of;
using test::TempDir;

size_t entries_in(const std::string& directory) {
  const std::filesystem::directory_iterator entries(directory);
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

class NewFileOf : public testing::TestWithParam<NewFile::Staging> {
 protected:
  const TempDir dir_;
  const std::string path_ = dir_ / "new";
};

TEST_P(NewFileOf, AppearsWithItsBytesAndModeWhenPublished) {
  {
    auto file = NewFile::begin(path_, 0640, GetParam());
    ASSERT_TRUE(file) << file.error().message();
    ASSERT_TRUE(file->file()->write(0, bytes_of("hello")));
    EXPECT_FALSE(std::filesystem::exists(path_));
    ASSERT_TRUE(file->publish());
  }
  EXPECT_EQ(test::read_file(path_), "hello");
  struct stat st = {};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0640U);
  EXPECT_EQ(entries_in(dir_.path()), 1U);
}

TEST_P(NewFileOf, LeavesNothingWhenItIsNotPublished) {
  {
    auto file = NewFile::begin(path_, 0600, GetParam());
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->file()->write(0, bytes_of("hello")));
  }
  EXPECT_EQ(entries_in(dir_.path()), 0U);
}

TEST_P(NewFileOf, DoesNotReplaceAFileThatIsThere) {
  test::write_file(path_, "old");
  const auto file = NewFile::begin(path_, 0600, GetParam());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), Errc::invalid);
  EXPECT_EQ(file.error().message(), path_ + ": exists already; it is not overwritten");
}

TEST_P(NewFileOf, DoesNotReplaceAFileThatCameMeanwhile) {
  {
    auto file = NewFile::begin(path_, 0600, GetParam());
    ASSERT_TRUE(file);
    test::write_file(path_, "other");
    const auto published = file->publish();
    ASSERT_FALSE(published);
    EXPECT_EQ(published.error().code(), Errc::invalid);
  }
  EXPECT_EQ(test::read_file(path_), "other");
  EXPECT_EQ(entries_in(dir_.path()), 1U);
}

TEST_P(NewFileOf, DoesNotWriteThroughADanglingLink) {
  const std::string target = dir_ / "elsewhere";
  ASSERT_EQ(symlink(target.c_str(), path_.c_str()), 0);
  EXPECT_FALSE(NewFile::begin(path_, 0600, GetParam()));
  EXPECT_FALSE(std::filesystem::exists(target));
}

TEST_P(NewFileOf, SaysThatItsDirectoryIsMissing) {
  const std::string path = dir_ / "no/new";
  const auto file = NewFile::begin(path, 0600, GetParam());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message(), path + ": cannot create: No such file or directory");
}

TEST_P(NewFileOf, RefusesANameThatIsADirectorys) {
  EXPECT_FALSE(NewFile::begin(dir_.path() + "/", 0600, GetParam()));
  EXPECT_FALSE(NewFile::begin(dir_ / ".", 0600, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(EachStaging, NewFileOf,
                         testing::Values(NewFile::Staging::unnamed, NewFile::Staging::named));

}  // namespace
}  // namespace platter
