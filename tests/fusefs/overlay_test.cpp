// Writing over an image that stays as it is.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "lib/ops/create.h"
#include "tests/support/created_image.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/qemu.h"
#include "tests/support/writable_image.h"

namespace platter::fusefs {
namespace {

using platter::test::Mount;
using platter::test::Outcome;
using platter::test::program;
using platter::test::read_file;
using platter::test::sector_text;
using platter::test::TempDir;
using platter::test::WritableImage;
using platter::test::write_file;
using testing::HasSubstr;
using testing::StartsWith;

void put(const Mount& mount, off_t offset, const std::string& bytes) {
  const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd) << strerror(errno);
  ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), offset),
            static_cast<ssize_t>(bytes.size()));
  ASSERT_EQ(fsync(fd.get()), 0);
}

// Of temporary overlays, in a directory that other temporary things are in.
unsigned left_behind(const std::string& directory) {
  unsigned count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().starts_with("platter-overlay")) ++count;
  }
  return count;
}

class OverlayOf : public testing::TestWithParam<std::string> {
 protected:
  OverlayOf() {
    // A raw file needs no format=raw when it is only read.
    source_ = read_file(image_.path);
    disk_ = image_.contents();
    std::filesystem::create_directory(tmp_);
    setenv("TMPDIR", tmp_.c_str(), 1);
  }
  ~OverlayOf() override { unsetenv("TMPDIR"); }
  void expect_untouched() const {
    EXPECT_TRUE(read_file(image_.path) == source_);
    struct stat st = {};
    ASSERT_EQ(stat(image_.path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, before_.st_mtim.tv_sec);
    EXPECT_EQ(st.st_mtim.tv_nsec, before_.st_mtim.tv_nsec);
  }

  TempDir dir_;
  WritableImage image_{GetParam(), dir_.path()};
  const struct stat before_ = [this] {
    struct stat st = {};
    EXPECT_EQ(stat(image_.path.c_str(), &st), 0);
    return st;
  }();
  const std::string tmp_ = dir_ / "tmp", kept_ = dir_ / "kept.qcow2";
  std::string source_, disk_;
};

INSTANTIATE_TEST_SUITE_P(Images, OverlayOf, testing::Values("raw", "vdi", "child"),
                         [](const auto& param) { return param.param; });

TEST_P(OverlayOf, ATemporaryOneIsThrownAway) {
  for (int i = 0; i < 2; ++i) {
    Mount mount(image_.path, {"-ooverlay"});
    ASSERT_TRUE(mount.mounted());
    EXPECT_THAT(platter::test::mount_entry(mount.path()).options, StartsWith("rw"));
    EXPECT_EQ(mount.messages(), "");
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk_);
    std::string now = disk_;
    const std::string bytes = sector_text(100000, 5);
    ASSERT_NO_FATAL_FAILURE(put(mount, 12345, bytes));
    now.replace(12345, bytes.size(), bytes);
    EXPECT_TRUE(read_file(mount / "disk.raw") == now);
    EXPECT_EQ(left_behind(tmp_), 0U) << "it has no name, so nothing can be left of it";
    expect_untouched();
  }
  expect_untouched();
}

TEST_P(OverlayOf, TheSourceIsALayerBelow) {
  const Mount mount(image_.path, {"-ooverlay"});
  ASSERT_TRUE(mount.mounted());
  ASSERT_NO_FATAL_FAILURE(put(mount, 0, "changed"));
  const std::string name = std::filesystem::path(image_.path).filename();
  EXPECT_TRUE(read_file(mount / ("snapshots/" + name + "/disk.raw")) == disk_);
}

TEST_P(OverlayOf, AFileIsMadeKeptAndMountedAgain) {
  std::string now = disk_;
  const std::string bytes = sector_text(100000, 5);
  {
    const Mount mount(image_.path, {"-ooverlay=" + kept_});
    ASSERT_TRUE(mount.mounted());
    EXPECT_EQ(mount.messages(), "");
    ASSERT_NO_FATAL_FAILURE(put(mount, 12345, bytes));
  }
  now.replace(12345, bytes.size(), bytes);
  expect_untouched();
  {
    const Mount mount(image_.path, {"-ooverlay=" + kept_});
    ASSERT_TRUE(mount.mounted());
    EXPECT_TRUE(read_file(mount / "disk.raw") == now);
    ASSERT_NO_FATAL_FAILURE(put(mount, 0, "more"));
    now.replace(0, 4, "more");
  }
  {
    const Mount reading(image_.path, {"-oro", "--overlay=" + kept_});
    ASSERT_TRUE(reading.mounted());
    EXPECT_TRUE(read_file(reading / "disk.raw") == now);
  }
  // An image like any other, too.
  const Mount alone(kept_, {"-oro"});
  ASSERT_TRUE(alone.mounted());
  EXPECT_TRUE(read_file(alone / "disk.raw") == now);
  expect_untouched();
  // QEMU knows VDI blocks of one size only.
  if (!platter::test::have_qemu() || GetParam() != "raw") return;
  MUST_RUN(dir_, "qemu-img check kept.qcow2");
  MUST_RUN(dir_, "qemu-img convert -O raw kept.qcow2 out.raw");
  EXPECT_TRUE(read_file(dir_ / "out.raw") == now);
}

TEST_P(OverlayOf, TheFileMayBeInAnotherDirectory) {
  const std::string there = tmp_ + "/there.qcow2";
  for (int i = 0; i < 2; ++i) {
    const Mount mount(image_.path, {"-ooverlay=" + there});
    ASSERT_TRUE(mount.mounted());
    ASSERT_NO_FATAL_FAILURE(put(mount, i, "x"));
  }
  expect_untouched();
}

TEST_P(OverlayOf, IsLockedAsItsSourceIs) {
  const std::string elsewhere = dir_ / "elsewhere";
  std::filesystem::create_directory(elsewhere);
  const Mount mount(image_.path, {"-ooverlay=" + kept_});
  ASSERT_TRUE(mount.mounted());
  const Outcome second =
      platter::test::run({program("platterfs"), "-ooverlay=" + kept_, image_.path, elsewhere});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr(kept_ + ": "));
  // Others may read the source, and lay their own over it.
  const Mount other(image_.path, {"-ooverlay"});
  EXPECT_TRUE(other.mounted());
  const std::string kind = GetParam() == "raw" ? "raw" : "vdi";
  const Outcome writer =
      platter::test::run({program("platterfs"), "-oformat=" + kind, image_.path, elsewhere});
  EXPECT_EQ(writer.status, 1);
  EXPECT_THAT(writer.err, HasSubstr(image_.path + ": "));
}

// Every format there is.
class OverlayOver : public testing::TestWithParam<platter::test::HowMade> {};
INSTANTIATE_TEST_SUITE_P(Images, OverlayOver, testing::ValuesIn(platter::test::ways_to_make()),
                         [](const auto& param) { return param.param.name; });

TEST_P(OverlayOver, HasWhatIsWrittenAndLeavesTheSourceAsItIs) {
  const TempDir dir;
  const platter::test::CreatedImage image(GetParam(), dir.path(), 4 * MiB + 512);
  {
    const Mount mount(image.path(), image.options());
    ASSERT_TRUE(mount.mounted());
    ASSERT_NO_FATAL_FAILURE(put(mount, 100000, sector_text(MiB)));
  }
  const std::string source = read_file(image.path());
  std::string disk;
  for (const std::string& overlay : {std::string("-ooverlay"), "-ooverlay=" + (dir / "kept")}) {
    const Mount mount(image.path(), image.options({overlay}));
    ASSERT_TRUE(mount.mounted());
    disk = read_file(mount / "disk.raw");
    EXPECT_EQ(disk.substr(100000, MiB), sector_text(MiB));
    const std::string bytes = sector_text(300000, 9);
    ASSERT_NO_FATAL_FAILURE(put(mount, 1000000, bytes));
    disk.replace(1000000, bytes.size(), bytes);
    EXPECT_TRUE(read_file(mount / "disk.raw") == disk);
  }
  EXPECT_TRUE(read_file(image.path()) == source);
  const Mount again(image.path(), image.options({"-ooverlay=" + (dir / "kept")}));
  ASSERT_TRUE(again.mounted());
  EXPECT_TRUE(read_file(again / "disk.raw") == disk);
}

class OverlayRefused : public testing::Test {
 protected:
  OverlayRefused() {
    write_file(dir_ / "a.img", sector_text(MiB));
    write_file(dir_ / "b.img", sector_text(MiB));
    std::filesystem::create_directory(dir_ / "mnt");
  }
  void expect(const std::vector<std::string>& options, int status, const std::string& message) {
    std::vector<std::string> words = {program("platterfs")};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {dir_ / "b.img", dir_ / "mnt"});
    const Outcome outcome = platter::test::run(words);
    EXPECT_EQ(outcome.status, status);
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_TRUE(read_file(dir_ / "b.img") == sector_text(MiB));
  }
  TempDir dir_;
};

TEST_F(OverlayRefused, ForAnotherParent) {
  const auto& format = *find_format("qcow2");
  ASSERT_TRUE(create_image({.path = dir_ / "a.qcow2",
                            .format = format,
                            .size = MiB,
                            .parent = ParentLink{.reference = "a.img", .format = "raw"}}));
  const std::string before = read_file(dir_ / "a.qcow2");
  expect({"-ooverlay=" + (dir_ / "a.qcow2")}, 1,
         "a.qcow2: was made for \"a.img\": it is no overlay of " + (dir_ / "b.img"));
  EXPECT_TRUE(read_file(dir_ / "a.qcow2") == before);
}

TEST_F(OverlayRefused, ForAFileThatIsNoOverlay) {
  const auto& format = *find_format("qcow2");
  ASSERT_TRUE(create_image({.path = dir_ / "base.qcow2", .format = format, .size = MiB}));
  expect({"-ooverlay=" + (dir_ / "base.qcow2")}, 1, "base.qcow2: has no parent");
  expect({"-ooverlay=" + (dir_ / "a.img")}, 1, "a.img: ");
  EXPECT_TRUE(read_file(dir_ / "a.img") == sector_text(MiB));
}

TEST_F(OverlayRefused, ForAnotherFormatThanItWasMadeFor) {
  const auto& format = *find_format("qcow2");
  ASSERT_TRUE(create_image({.path = dir_ / "b.qcow2",
                            .format = format,
                            .size = MiB,
                            .parent = ParentLink{.reference = "b.img", .format = "raw"}}));
  expect({"-oformat=vdi,overlay=" + (dir_ / "b.qcow2")}, 1, "is raw, not vdi");
}

TEST_F(OverlayRefused, WhereNothingCanBeWritten) {
  expect({"-ooverlay,ro"}, 2, "overlay: nothing is written with ro");
  expect({"-olock=shared,overlay"}, 2, "overlay: nothing is written with ro");
  expect({"-ooverlay="}, 2, "overlay=: a file name is missing");
  expect({"-oro,overlay=" + (dir_ / "none.qcow2")}, 1, "none.qcow2: cannot open");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "none.qcow2"));
  expect({"-ooverlay=" + (dir_ / "none/x.qcow2")}, 1, "none/x.qcow2: ");
}

TEST_F(OverlayRefused, NothingIsLeftOfATemporaryOneAfterAKill) {
  std::filesystem::create_directory(dir_ / "tmp");
  setenv("TMPDIR", (dir_ / "tmp").c_str(), 1);
  {
    Mount mount(dir_ / "b.img", {"-ooverlay"});
    ASSERT_TRUE(mount.mounted());
    ASSERT_NO_FATAL_FAILURE(put(mount, 0, "x"));
    mount.expect_messages();
    ASSERT_EQ(kill(mount.pid(), SIGKILL), 0);
    mount.wait_for_end();
  }
  unsetenv("TMPDIR");
  EXPECT_EQ(left_behind(dir_ / "tmp"), 0U);
  EXPECT_TRUE(read_file(dir_ / "b.img") == sector_text(MiB));
}

}  // namespace
}  // namespace platter::fusefs
