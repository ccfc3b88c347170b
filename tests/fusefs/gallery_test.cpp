// Several images, and directories of them, in one mount.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "lib/ops/create.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

namespace fs = std::filesystem;
using namespace platter::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The image files below the directory that the program has open.
std::vector<std::string> open_images(const Mount& mount, const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(mount.pid()) + "/fd")) {
    std::error_code gone;
    const fs::path path = fs::read_symlink(entry.path(), gone);
    if (path.native().starts_with(directory + "/")) names.push_back(path.filename());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

class GalleryMount : public testing::Test {
 protected:
  GalleryMount() {
    fs::create_directory(images_);
    images_ = fs::canonical(images_);
  }

  void make(const std::string& name, const std::string& format, const Options& options = {},
            const std::optional<ParentLink>& parent = std::nullopt) const {
    const auto made = create_image({.path = images_ + "/" + name,
                                    .format = *find_format(format),
                                    .size = 64 * KiB,
                                    .options = options,
                                    .parent = parent});
    ASSERT_TRUE(made) << made.error().message();
  }
  std::string image(const std::string& name) const { return images_ + "/" + name; }

  static void put(const std::string& path, std::string_view bytes) {
    const Descriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(file) << path << ": " << strerror(errno);
    ASSERT_EQ(pwrite(file.get(), bytes.data(), bytes.size(), 4096),
              static_cast<ssize_t>(bytes.size()));
  }

  const TempDir dir_;
  std::string images_ = dir_ / "images";
};

TEST_F(GalleryMount, OfSeveralImagesHasADirectoryForEach) {
  write_file(image("one.raw"), sector_text(64 * KiB, 1));
  fs::create_directory(image("b"));
  write_file(image("b/one.raw"), sector_text(64 * KiB, 2));
  make("two.qcow2", "qcow2");
  const Mount mount(image("two.qcow2"), {"-oformat=raw", image("one.raw"), image("b/one.raw")});
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(names_in(mount.path()), ElementsAre("one.raw", "one.raw@2", "two.qcow2"));
  EXPECT_EQ(read_file(mount / "one.raw/disk.raw"), sector_text(64 * KiB, 1));
  EXPECT_EQ(read_file(mount / "one.raw@2/disk.raw"), sector_text(64 * KiB, 2));
  EXPECT_THAT(names_in(mount / "one.raw"),
              ElementsAre("disk.raw", "info.json", "partitions", "snapshots"));
}

TEST_F(GalleryMount, WritesToImagesThatWereNamed) {
  make("a.qcow2", "qcow2");
  make("b.vdi", "vdi");
  {
    const Mount mount(image("a.qcow2"), {image("b.vdi")});
    ASSERT_TRUE(mount.mounted());
    put(mount / "a.qcow2/disk.raw", "written to a");
    put(mount / "b.vdi/disk.raw", "written to b");
    EXPECT_EQ(mkdir((mount / "a.qcow2/snapshots/s").c_str(), 0755), 0) << strerror(errno);
    EXPECT_EQ(mkdir((mount / "x").c_str(), 0755), -1);
    EXPECT_EQ(errno, EPERM);
  }
  const Mount mount(image("a.qcow2"), {image("b.vdi")});
  EXPECT_EQ(read_file(mount / "a.qcow2/disk.raw").substr(4096, 12), "written to a");
  EXPECT_EQ(read_file(mount / "a.qcow2/snapshots/s/disk.raw").substr(4096, 12), "written to a");
  EXPECT_EQ(read_file(mount / "b.vdi/disk.raw").substr(4096, 12), "written to b");
}

TEST_F(GalleryMount, GoesBackToASnapshotOfOneImage) {
  make("a.qcow2", "qcow2");
  make("b.qcow2", "qcow2");
  const Mount mount(image("a.qcow2"), {image("b.qcow2")});
  ASSERT_TRUE(mount.mounted());
  for (const std::string& named : {image("b.qcow2"), mount / "b.qcow2"}) {
    put(mount / "b.qcow2/disk.raw", "before");
    ASSERT_EQ(mkdir((mount / "b.qcow2/snapshots/s").c_str(), 0755), 0) << strerror(errno);
    put(mount / "b.qcow2/disk.raw", "after!");
    const Outcome outcome = run({program("platter"), "snapshot", "apply", "--live", named, "s"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(read_file(mount / "b.qcow2/disk.raw").substr(4096, 6), "before");
    EXPECT_EQ(rmdir((mount / "b.qcow2/snapshots/s").c_str()), 0) << strerror(errno);
  }
}

TEST_F(GalleryMount, OfADirectoryShowsItsImagesAndNothingElse) {
  make("a.qcow2", "qcow2");
  make("without extension", "vdi");
  make("child.qcow2", "qcow2", {}, ParentLink{.reference = "a.qcow2", .format = "qcow2"});
  make("split.qcow2", "qcow2", {{"data_file", image("data.raw")}});
  for (const char* name :
       {"b.raw", "c.IMG", "d.iso", "e.dd", "f.000", "f.001", "notes.txt", "g", ".hidden.raw"}) {
    write_file(image(name), sector_text(4096));
  }
  fs::create_directory(image("sub.raw"));
  fs::create_symlink("/etc/passwd", image("link.raw"));
  ASSERT_EQ(mkfifo(image("pipe.raw").c_str(), 0600), 0);
  const Mount mount(images_);
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(names_in(mount.path()),
              UnorderedElementsAre("a.qcow2", "b.raw", "c.IMG", "child.qcow2", "d.iso", "e.dd",
                                   "f.000", "split.qcow2", "without extension"));
}

// The daemon would wait for itself, and everybody for the daemon.
TEST_F(GalleryMount, IsNotLedIntoItselfByAnImage) {
  make("b.qcow2", "qcow2");
  fs::create_directory(image("mnt"));
  write_overlay(image("evil.qcow2"), "mnt/b.qcow2/disk.raw", "raw");
  const std::string mountpoint = image("mnt");
  ASSERT_EQ(run({program("platterfs"), "-orw", images_, mountpoint}).status, 0);
  EXPECT_THAT(names_in(mountpoint + "/evil.qcow2"), ElementsAre("error.txt"));
  EXPECT_EQ(read_file(mountpoint + "/b.qcow2/disk.raw").size(), 64 * KiB);
  EXPECT_EQ(run({program("platter"), "umount", mountpoint}).status, 0);
  const Outcome hidden = run({program("platterfs"), "-ononempty", images_, images_});
  EXPECT_EQ(hidden.status, 1);
  EXPECT_THAT(hidden.err, HasSubstr("would hide"));
}

TEST_F(GalleryMount, FollowsNoSymbolicLinkThatCameLater) {
  make("a.qcow2", "qcow2");
  write_file(dir_ / "secret.raw", sector_text(4096));
  const Mount mount(images_, {"-orw"});
  ASSERT_TRUE(mount.mounted());
  fs::remove(image("a.qcow2"));
  fs::create_symlink(dir_ / "secret.raw", image("a.qcow2"));
  EXPECT_THAT(names_in(mount / "a.qcow2"), ElementsAre("error.txt"));
  EXPECT_THAT(read_file(mount / "a.qcow2/error.txt"), HasSubstr("a symbolic link"));
}

TEST_F(GalleryMount, ShowsAFileOnceThatIsNamedTwice) {
  make("a.qcow2", "qcow2");
  make("b.qcow2", "qcow2");
  fs::create_directories(dir_ / "real/deep");
  fs::create_symlink("real/deep", dir_ / "link");
  write_file(dir_ / "real/c.raw", sector_text(8192, 2));
  write_file(dir_ / "c.raw", sector_text(4096, 1));
  const Mount mount(image("b.qcow2"), {"-oro", image("a.qcow2"), images_ + "/../images/a.qcow2",
                                       dir_ / "link/../c.raw"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(names_in(mount.path()), ElementsAre("a.qcow2", "b.qcow2", "c.raw"));
  EXPECT_EQ(read_file(mount / "c.raw/disk.raw"), sector_text(8192, 2));
}

TEST_F(GalleryMount, AnImageMayNameWhateverTheUserNamed) {
  write_file(dir_ / "base.raw", sector_text(64 * KiB, 3));
  make("child.qcow2", "qcow2", {}, ParentLink{.reference = "../base.raw", .format = "raw"});
  {
    const Mount mount(image("child.qcow2"), {dir_ / "base.raw"});
    ASSERT_TRUE(mount.mounted());
    EXPECT_EQ(read_file(mount / "child.qcow2/disk.raw"), sector_text(64 * KiB, 3));
  }
  const Mount alone(images_);
  ASSERT_TRUE(alone.mounted());
  EXPECT_THAT(read_file(alone / "child.qcow2/error.txt"), HasSubstr("references=any"));
}

TEST_F(GalleryMount, OpensNothingBeforeAContainerIsLookedInto) {
  for (const char* name : {"a.qcow2", "b.vdi", "c.qcow2"}) {
    make(name, fs::path(name).extension() == ".vdi" ? "vdi" : "qcow2");
  }
  const Mount mount(images_, {"-orw"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_EQ(run({"ls", "-la", "--color=always", mount.path()}).status, 0);
  char value[100];
  EXPECT_EQ(getxattr((mount / "a.qcow2").c_str(), "user.x", value, sizeof value), -1);
  EXPECT_EQ(run({"df", mount.path(), mount / "a.qcow2"}).status, 0);
  EXPECT_THAT(open_images(mount, images_), IsEmpty());
  // Nobody is kept from an image that nobody looks into.
  EXPECT_EQ(run({program("platter"), "set", image("b.vdi"), "comment=x"}).status, 0);
  EXPECT_THAT(names_in(mount / "b.vdi"), testing::Contains("disk.raw"));
  EXPECT_THAT(open_images(mount, images_), ElementsAre("b.vdi"));
}

TEST_F(GalleryMount, ClosesAContainerThatIsNotUsed) {
  make("a.qcow2", "qcow2");
  make("b.qcow2", "qcow2");
  const Mount mount(images_, {"-orw"});
  ASSERT_TRUE(mount.mounted());
  const Descriptor used(open((mount / "b.qcow2/disk.raw").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(used);
  put(mount / "a.qcow2/disk.raw", "before");
  EXPECT_THAT(open_images(mount, images_), ElementsAre("a.qcow2", "b.qcow2"));
  // A test cannot wait for less than the program does.
  std::this_thread::sleep_for(std::chrono::seconds(5));
  EXPECT_TRUE(comes_true([&] { return open_images(mount, images_).size() == 1; }));
  EXPECT_THAT(open_images(mount, images_), ElementsAre("b.qcow2"));
  // Others may write to it meanwhile, and what they wrote is seen, whatever the kernel had of it.
  {
    const Mount other(image("a.qcow2"));
    ASSERT_TRUE(other.mounted());
    put(other / "disk.raw", "after!");
  }
  EXPECT_EQ(read_file(mount / "a.qcow2/disk.raw").substr(4096, 6), "after!");
  char byte = 1;
  EXPECT_EQ(pread(used.get(), &byte, 1, 0), 1);
}

// A program may stay in a directory for longer than the container is open.
TEST_F(GalleryMount, AStateIsTheSameAfterItsContainerWasClosed) {
  make("base.qcow2", "qcow2");
  {
    const Mount mount(image("base.qcow2"));
    ASSERT_TRUE(mount.mounted());
    put(mount / "disk.raw", "of the base");
  }
  make("top.qcow2", "qcow2", {}, ParentLink{.reference = "base.qcow2", .format = "qcow2"});
  const Mount mount(images_, {"-orw"});
  ASSERT_TRUE(mount.mounted());
  put(mount / "top.qcow2/disk.raw", "of the top!");
  const std::string states = mount / "top.qcow2/snapshots";
  const Descriptor base(open((states + "/base.qcow2").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(base);
  ASSERT_EQ(mkdir((states + "/new").c_str(), 0755), 0) << strerror(errno);
  std::this_thread::sleep_for(std::chrono::seconds(5));
  ASSERT_TRUE(comes_true([&] { return open_images(mount, images_).empty(); }));
  const Descriptor disk(openat(base.get(), "disk.raw", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(disk) << strerror(errno);
  std::string bytes(11, '\0');
  ASSERT_EQ(pread(disk.get(), bytes.data(), bytes.size(), 4096), 11);
  EXPECT_EQ(bytes, "of the base");
  EXPECT_EQ(read_file(states + "/new/disk.raw").substr(4096, 11), "of the top!");
}

TEST_F(GalleryMount, ShowsWhyAContainerCannotBeOpened) {
  make("a.qcow2", "qcow2");
  make("gone.qcow2", "qcow2", {}, ParentLink{.reference = "a.qcow2", .format = "qcow2"});
  fs::rename(image("a.qcow2"), image("moved.qcow2"));
  const Mount mount(images_);
  ASSERT_TRUE(mount.mounted());
  EXPECT_THAT(names_in(mount.path()), ElementsAre("gone.qcow2", "moved.qcow2"));
  EXPECT_THAT(names_in(mount / "gone.qcow2"), ElementsAre("error.txt"));
  const std::string why = read_file(mount / "gone.qcow2/error.txt");
  EXPECT_THAT(why, AllOf(HasSubstr("gone.qcow2"), HasSubstr("a.qcow2"), testing::EndsWith("\n")));
  EXPECT_EQ(std::count(why.begin(), why.end(), '\n'), 1) << why;
  EXPECT_EQ(stat_path(mount / "gone.qcow2/error.txt").st_size, static_cast<off_t>(why.size()));
  EXPECT_EQ(open((mount / "gone.qcow2/error.txt").c_str(), O_WRONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(access((mount / "gone.qcow2/disk.raw").c_str(), F_OK), -1);
  // It is tried again.
  fs::rename(image("moved.qcow2"), image("a.qcow2"));
  EXPECT_TRUE(
      comes_true([&] { return access((mount / "gone.qcow2/disk.raw").c_str(), F_OK) == 0; }));
  EXPECT_THAT(names_in(mount / "gone.qcow2"), testing::Not(testing::Contains("error.txt")));
}

TEST_F(GalleryMount, OfADirectoryIsReadOnlyUnlessToldOtherwise) {
  make("a.qcow2", "qcow2");
  const Mount mount(images_);
  ASSERT_TRUE(mount.mounted());
  EXPECT_EQ(open((mount / "a.qcow2/disk.raw").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_THAT(mount_entry(mount.path()).options, testing::StartsWith("ro"));
}

TEST_F(GalleryMount, WritesToNoImageThatAnotherOneIsBuiltOn) {
  make("base.qcow2", "qcow2");
  make("child.qcow2", "qcow2", {}, ParentLink{.reference = "base.qcow2", .format = "qcow2"});
  make("base.vdi", "vdi");
  make("later.qcow2", "qcow2");
  const Outcome made = run({program("platter"), "create", "-f", "vdi", "--parent",
                            image("base.vdi"), image("child.vdi")});
  ASSERT_EQ(made.status, 0) << made.err;
  const Mount mount(images_, {"-orw"});
  ASSERT_TRUE(mount.mounted());
  for (const char* format : {"qcow2", "vdi"}) {
    put(mount / (std::string("child.") + format + "/disk.raw"), "changed");
    EXPECT_EQ(
        open((mount / (std::string("base.") + format + "/disk.raw")).c_str(), O_RDWR | O_CLOEXEC),
        -1);
    EXPECT_EQ(errno, EROFS);
  }
  // One that became a parent since, by way of an image that is not shown.
  put(mount / "later.qcow2/disk.raw", "changed");
  std::this_thread::sleep_for(std::chrono::seconds(5));
  ASSERT_TRUE(comes_true([&] {
    return testing::Value(open_images(mount, images_),
                          testing::Not(testing::Contains("later.qcow2")));
  }));
  make(".hidden.qcow2", "qcow2", {}, ParentLink{.reference = "later.qcow2", .format = "qcow2"});
  EXPECT_EQ(open((mount / "later.qcow2/disk.raw").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(GalleryMount, LaysATemporaryOverlayOverEach) {
  make("a.qcow2", "qcow2");
  write_file(image("b.raw"), sector_text(64 * KiB));
  const std::string before = read_file(image("a.qcow2"));
  {
    const Mount mount(images_, {"-ooverlay"});
    ASSERT_TRUE(mount.mounted());
    put(mount / "a.qcow2/disk.raw", "changed");
    put(mount / "b.raw/disk.raw", "changed");
    // What was written is there as long as the mount is.
    std::this_thread::sleep_for(std::chrono::seconds(7));
    EXPECT_EQ(read_file(mount / "a.qcow2/disk.raw").substr(4096, 7), "changed");
    EXPECT_EQ(read_file(mount / "b.raw/disk.raw").substr(4096, 7), "changed");
  }
  EXPECT_TRUE(read_file(image("a.qcow2")) == before);
  EXPECT_TRUE(read_file(image("b.raw")) == sector_text(64 * KiB));
}

TEST_F(GalleryMount, RefusesWhatIsForOneImage) {
  make("a.qcow2", "qcow2");
  for (const char* option : {"-osnapshot=x", "-ooverlay=/tmp/x.qcow2"}) {
    fs::create_directory(dir_ / "mnt");
    const Outcome outcome = run({program("platterfs"), "-f", option, images_, dir_ / "mnt"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("for a mount of one image"));
  }
}

TEST_F(GalleryMount, StaysInTheBackgroundWithRelativeNames) {
  make("a.qcow2", "qcow2");
  fs::create_directory(dir_ / "mnt");
  const std::string mountpoint = fs::canonical(dir_ / "mnt");
  ASSERT_EQ(run({"sh", "-c",
                 "cd '" + images_ + "' && '" + program("platterfs") + "' . '" + mountpoint + "'"})
                .status,
            0);
  EXPECT_THAT(names_in(mountpoint), ElementsAre("a.qcow2"));
  EXPECT_EQ(read_file(mountpoint + "/a.qcow2/disk.raw"), std::string(64 * KiB, '\0'));
  EXPECT_EQ(run({program("platter"), "umount", mountpoint}).status, 0);
}

}  // namespace
}  // namespace platter::fusefs
