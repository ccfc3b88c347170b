// A cache image in front of a mounted disk.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/io/posix_file.h"
#include "tests/support/bytes.h"
#include "tests/support/mount.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using platter::test::Mount;
using platter::test::Outcome;
using platter::test::program;
using platter::test::read_file;
using platter::test::TempDir;
using platter::test::WritableImage;
using testing::HasSubstr;

class CacheImageOf : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> options(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = image_.options;
    all.push_back("-ocache-image=" + cache_);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static nlohmann::json numbers(const Mount& mount) {
    return nlohmann::json::parse(read_file(mount / "info.json")).at("live").at("cache_image");
  }
  TempDir dir_;
  WritableImage image_{GetParam(), dir_.path()};
  const std::string cache_ = dir_ / "disk.vci";
  const std::string disk_ = image_.contents();
};

INSTANTIATE_TEST_SUITE_P(Images, CacheImageOf, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(CacheImageOf, IsReadTheNextTimeInsteadOfTheDisk) {
  {
    Mount mount(image_.path, options());
    ASSERT_TRUE(mount.mounted());
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk_);
    EXPECT_GT(numbers(mount).at("kept_bytes"), 1 << 20);
  }
  struct stat st = {};
  ASSERT_EQ(stat(cache_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0600U);
  // Of a read-only mount as well.
  Mount mount(image_.path, options({"-oro"}));
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == disk_);
  EXPECT_GT(numbers(mount).at("hit_bytes"), 1 << 20);
  EXPECT_LT(numbers(mount).at("miss_bytes"), numbers(mount).at("hit_bytes"));
  EXPECT_EQ(mount.messages(), "");
}

TEST_P(CacheImageOf, FollowsWhatIsWritten) {
  std::string wanted = disk_;
  {
    Mount mount(image_.path, options());
    ASSERT_TRUE(mount.mounted());
    EXPECT_TRUE(read_file(mount / "disk.raw") == wanted);
    const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(fd) << strerror(errno);
    for (const off_t at : {off_t{0}, off_t{70'001}, off_t{1 << 20}}) {
      const std::string bytes = platter::test::text_of(platter::test::noise(30'000, 5));
      ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), at), 30'000);
      wanted.replace(static_cast<size_t>(at), bytes.size(), bytes);
    }
    ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192), 0);
    wanted.replace(4096, 8192, std::string(8192, '\0'));
    ASSERT_EQ(fsync(fd.get()), 0);
    // Not what the kernel remembers.
    posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    EXPECT_TRUE(read_file(mount / "disk.raw") == wanted);
  }
  EXPECT_TRUE(image_.contents() == wanted);
  Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == wanted);
  EXPECT_EQ(mount.messages(), "");
}

TEST_P(CacheImageOf, IsEmptiedAfterAKillAndAfterAChangeWithoutIt) {
  {
    Mount mount(image_.path, options());
    ASSERT_TRUE(mount.mounted());
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk_);
    mount.expect_messages();
    kill(mount.pid(), SIGKILL);
    mount.wait_for_end();
  }
  {
    Mount mount(image_.path, options());
    ASSERT_TRUE(mount.mounted());
    mount.expect_messages();
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk_);
    EXPECT_THAT(mount.messages(), HasSubstr("disk.vci: was emptied: it was not closed"));
  }
  std::string wanted = disk_;
  {
    Mount mount(image_.path, image_.options);
    ASSERT_TRUE(mount.mounted());
    const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(pwrite(fd.get(), "other", 5, 100), 5);
    wanted.replace(100, 5, "other");
  }
  Mount mount(image_.path, options());
  ASSERT_TRUE(mount.mounted());
  mount.expect_messages();
  EXPECT_TRUE(read_file(mount / "disk.raw") == wanted);
  EXPECT_THAT(mount.messages(), HasSubstr("was emptied: the disk is not what it was then"));
}

TEST(CacheImageOptions, ThatMakeNoSenseAreRefusedAndLeaveNothingBehind) {
  const TempDir dir;
  const WritableImage image("vdi", dir.path());
  std::filesystem::create_directory(dir / "mnt");
  const std::string cache = "-ocache-image=" + (dir / "x.vci");
  const auto refused = [&](const std::vector<std::string>& words, const std::string& why) {
    std::vector<std::string> command{program("platterfs")};
    command.insert(command.end(), words.begin(), words.end());
    command.push_back(dir / "mnt");
    const Outcome outcome = platter::test::run(command);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
    EXPECT_FALSE(std::filesystem::exists(dir / "x.vci"));
  };
  refused({cache, "-olock=off", image.path}, "lock=on");
  refused({cache, "-olock=shared", image.path}, "lock=on");
  refused({cache, "-ocache-image-size=1M", image.path}, "2M to 64G");
  refused({cache, image.path, image.path}, "one image");
  refused({cache, dir / "not there"}, "No such file");
  platter::test::write_file(dir / "notes", std::string(5000, 'x'));
  refused({"-ocache-image=" + (dir / "notes"), image.path}, "is no cache image");
  EXPECT_EQ(read_file(dir / "notes"), std::string(5000, 'x'));
  platter::test::write_file(dir / "theirs.vci", "");
  std::filesystem::permissions(dir / "theirs.vci", std::filesystem::perms{0666});
  refused({"-ocache-image=" + (dir / "theirs.vci"), image.path}, "somebody else could change it");
}

}  // namespace
}  // namespace platter::fusefs
