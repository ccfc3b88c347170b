#include "lib/ops/move.h"

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "tests/support/image_chain.h"
#include "tests/support/same_bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

namespace fs = std::filesystem;
using test::disk_of;
using test::fault_of;
using test::ImageChain;
using test::same;
using test::TempDir;
using testing::HasSubstr;

Result<MoveReport> moved(const MoveArgs& args) {
  NoProgress progress;
  return move_image(args, progress);
}

std::string why_not_moved(const MoveArgs& args) {
  const std::string before = test::read_file(args.path);
  const auto done = moved(args);
  EXPECT_EQ(test::read_file(args.path), before);
  return done ? "" : done.error().message();
}

// Up from a directory of its own, where that is allowed.
TEST(Move, KeepsTheParentFromAnotherDirectory) {
  for (const std::string format : {"qcow2", "vmdk", "vhd", "vhdx", "qcow"}) {
    const TempDir dir;
    fs::create_directory(dir / "Snapshots");
    const ImageChain chain(dir.path(), {{format}, {format}});
    const auto before = disk_of(chain[0]);
    const std::string to = dir / ("Snapshots/now." + format);
    const auto done = moved({.path = chain[0], .to = to});
    ASSERT_TRUE(done) << format << done.error().message();
    EXPECT_FALSE(done->copied);
    EXPECT_FALSE(fs::exists(chain[0]));
    EXPECT_EQ(fault_of(to), "") << format;
    EXPECT_TRUE(same(disk_of(to), before)) << format;
    // And back.
    ASSERT_TRUE(moved({.path = to, .to = chain[0]}));
    EXPECT_TRUE(same(disk_of(chain[0]), before)) << format;
  }
}

TEST(Move, TakesAllFilesOfAnImageAlong) {
  const TempDir dir;
  fs::create_directory(dir / "to");
  const ImageChain chain(dir.path(), {{"vmdk", "subformat=monolithicFlat"}});
  const auto before = disk_of(chain[0]);
  const auto done = moved({.path = chain[0], .to = dir / "to/new.vmdk"});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->files.size(), 2u);
  EXPECT_TRUE(same(disk_of(dir / "to/new.vmdk"), before));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 1);
}

TEST(Move, MovesTheFileThatALinkLeadsTo) {
  const TempDir dir;
  fs::create_directory(dir / "to");
  const ImageChain chain(dir.path(), {{"qcow2"}});
  const auto before = disk_of(chain[0]);
  fs::create_symlink("0.qcow2", dir / "link.qcow2");
  ASSERT_TRUE(moved({.path = dir / "link.qcow2", .to = dir / "to/new.qcow2"}));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(dir / "to/new.qcow2")));
  EXPECT_TRUE(same(disk_of(dir / "to/new.qcow2"), before));
  EXPECT_FALSE(fs::exists(fs::symlink_status(dir / "link.qcow2")));
  EXPECT_FALSE(fs::exists(chain[0]));
}

TEST(Move, TellsChildrenWhereItIs) {
  const TempDir dir;
  fs::create_directory(dir / "to");
  const ImageChain chain(dir.path(), {{"qcow2"}, {"qcow2"}});
  const auto before = disk_of(chain[0]);
  EXPECT_THAT(why_not_moved({.path = chain[1], .to = dir / "to/base.qcow2"}),
              HasSubstr("stands on it, too"));
  const auto done = moved({.path = chain[1], .to = dir / "to/base.qcow2", .children = {chain[0]}});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(same(disk_of(chain[0]), before));
}

TEST(Move, NeedNotTellThoseThatKnowItByItsId) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"vdi"}, {"vdi"}});
  const auto before = disk_of(chain[0]);
  const auto done = moved({.path = chain[1], .to = dir / "base.vdi"});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(same(disk_of(chain[0]), before));
}

TEST(Move, LeavesEverythingWhereItWasWhenItCannotBe) {
  const TempDir dir;
  fs::create_directory(dir / "to");
  const ImageChain chain(dir.path(), {{"qcow2"}, {"qcow2"}});
  test::write_file(dir / "taken", std::string_view("mine"));
  EXPECT_THAT(why_not_moved({.path = chain[0], .to = dir / "taken"}), HasSubstr("exists already"));
  EXPECT_EQ(test::read_file(dir / "taken"), "mine");
  // Its parent would be above it, which the policy forbids.
  EXPECT_THAT(why_not_moved({.path = chain[0], .to = dir / "to/top.qcow2"}),
              HasSubstr("not at or below"));
  EXPECT_FALSE(fs::exists(dir / "to/top.qcow2"));
  EXPECT_NE(why_not_moved({.path = chain[0], .to = dir / "nowhere/top.qcow2"}), "");
  const auto user = Container::open(chain[0], {.lock = true});
  ASSERT_TRUE(user);
  EXPECT_EQ(moved({.path = chain[0], .to = dir / "b.qcow2"}).error().code(), Errc::busy);
}

TEST(Move, IsUndoneWhenAChildWouldNotFindIt) {
  const TempDir dir;
  fs::create_directory(dir / "from");
  fs::create_directory(dir / "other");
  const ImageChain chain(dir / "from", {{"qcow2"}, {"qcow2"}});
  const auto before = disk_of(chain[0]);
  EXPECT_THAT(
      why_not_moved({.path = chain[1], .to = dir / "other/base.qcow2", .children = {chain[0]}}),
      HasSubstr("not at or below"));
  EXPECT_TRUE(fs::is_empty(dir / "other"));
  EXPECT_TRUE(same(disk_of(chain[0]), before));
}

// Where both are one filesystem there is nothing to see.
TEST(Move, CopiesToAnotherFilesystem) {
  struct stat shm = {}, tmp = {};
  const TempDir dir;
  if (stat("/dev/shm", &shm) != 0 || stat(dir.path().c_str(), &tmp) != 0 ||
      shm.st_dev == tmp.st_dev || access("/dev/shm", W_OK) != 0) {
    GTEST_SKIP() << "there is no other filesystem";
  }
  const ImageChain chain(dir.path(), {{"vmdk", "subformat=monolithicFlat"}});
  const auto before = disk_of(chain[0]);
  const fs::path other = fs::path("/dev/shm") / fs::path(dir.path()).filename();
  fs::create_directory(other);
  const auto done = moved({.path = chain[0], .to = (other / "new.vmdk").string()});
  EXPECT_TRUE(done && done->copied);
  EXPECT_TRUE(same(disk_of((other / "new.vmdk").string()), before));
  EXPECT_TRUE(fs::is_empty(dir.path()));
  fs::remove_all(other);
}

}  // namespace
}  // namespace platter
