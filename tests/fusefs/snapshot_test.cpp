// Snapshots in a mount: mkdir, rmdir and mv in snapshots/, and the disk gone back to one.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "lib/io/posix_file.h"
#include "tests/support/disk_images.h"
#include "tests/support/mount.h"
#include "tests/support/qemu.h"

namespace platter::fusefs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace platter::test;

constexpr size_t kPiece = 4096;

int error_of(int result) { return result == 0 ? 0 : errno; }

class SnapshotsInAMount : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(platter({"create", "-f", "qcow2", image_, "64M"}).status, 0); }

  static Outcome platter(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program("platter"));
    return test::run(arguments);
  }
  // Each piece of the disk at these numbers, in that letter.
  static void put(const Mount& mount, char letter, const std::vector<unsigned>& pieces) {
    const Descriptor disk(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    const std::string bytes(kPiece, letter);
    for (const unsigned piece : pieces) {
      ASSERT_EQ(pwrite(disk.get(), bytes.data(), kPiece, off_t{piece} * 100000), off_t{kPiece});
    }
    ASSERT_EQ(fsync(disk.get()), 0);
  }
  // The first letters of pieces 0 to 9; '-' for nothing.
  static std::string letters(const std::string& file) {
    const Descriptor disk(open(file.c_str(), O_RDONLY | O_CLOEXEC));
    std::string seen;
    for (unsigned piece = 0; piece < 10; ++piece) {
      char letter = '?';
      if (pread(disk.get(), &letter, 1, off_t{piece} * 100000) != 1) return "cannot read";
      seen += letter == '\0' ? '-' : letter;
    }
    return seen;
  }
  static std::set<std::string> names(const Mount& mount) {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(mount / "snapshots")) {
      found.insert(entry.path().filename());
    }
    return found;
  }
  static int make(const Mount& mount, const std::string& name) {
    return error_of(mkdir((mount / ("snapshots/" + name)).c_str(), 0755));
  }
  static int remove(const Mount& mount, const std::string& name) {
    return error_of(rmdir((mount / ("snapshots/" + name)).c_str()));
  }
  static int rename(const Mount& mount, const std::string& from, const std::string& to) {
    return error_of(
        ::rename((mount / ("snapshots/" + from)).c_str(), (mount / ("snapshots/" + to)).c_str()));
  }
  void expect_sound() const {
    const Outcome checked = platter({"check", image_});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
    EXPECT_TRUE(!have_qemu() || test::run({"qemu-img", "check", image_}).status == 0);
  }

  const TempDir dir_;
  const std::string image_ = dir_ / "disk.qcow2";
};

TEST_F(SnapshotsInAMount, AreTakenWithMkdirAndKeepTheDiskAsItWas) {
  {
    Mount mount(image_);
    put(mount, 'a', {0, 1, 2});
    ASSERT_EQ(make(mount, "first"), 0);
    put(mount, 'b', {1, 2, 3});
    ASSERT_EQ(make(mount, "second"), 0);
    put(mount, 'c', {2, 4});
    EXPECT_THAT(names(mount), ElementsAre("first", "second"));
    EXPECT_EQ(letters(mount / "snapshots/first/disk.raw"), "aaa-------");
    EXPECT_EQ(letters(mount / "snapshots/second/disk.raw"), "abbb------");
    EXPECT_EQ(letters(mount / "disk.raw"), "abcbc-----");
    EXPECT_THAT(read_file(mount / "info.json"), HasSubstr("\"second\""));
  }
  expect_sound();
  Mount again(image_);
  EXPECT_EQ(letters(again / "snapshots/first/disk.raw"), "aaa-------");
  EXPECT_EQ(letters(again / "disk.raw"), "abcbc-----");
}

TEST_F(SnapshotsInAMount, AreDeletedWithRmdirAndGiveTheirSpaceBack) {
  {
    Mount mount(image_);
    {
      const Descriptor disk(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
      const std::string bytes(8 * MiB, 'x');
      ASSERT_EQ(pwrite(disk.get(), bytes.data(), bytes.size(), 0), off_t{8 * MiB});
    }
    ASSERT_EQ(make(mount, "full"), 0);
    {
      const Descriptor disk(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
      ASSERT_EQ(fallocate(disk.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8 * MiB), 0);
    }
    struct stat before = {}, after = {};
    ASSERT_EQ(stat(image_.c_str(), &before), 0);
    EXPECT_GT(before.st_blocks * 512, off_t{8 * MiB});
    ASSERT_EQ(remove(mount, "full"), 0);
    EXPECT_THAT(names(mount), IsEmpty());
    EXPECT_EQ(make(mount, "full"), 0);
    EXPECT_EQ(letters(mount / "snapshots/full/disk.raw"), "----------");
    const Descriptor disk(open((mount / "disk.raw").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(fsync(disk.get()), 0);
    ASSERT_EQ(stat(image_.c_str(), &after), 0);
    EXPECT_LT(after.st_blocks * 512, off_t{2 * MiB});
  }
  expect_sound();
}

TEST_F(SnapshotsInAMount, AreRenamedWithMvUnderAnyName) {
  {
    Mount mount(image_);
    put(mount, 'a', {0});
    ASSERT_EQ(make(mount, "one"), 0);
    ASSERT_EQ(make(mount, "two"), 0);
    EXPECT_EQ(rename(mount, "one", "two"), EEXIST);
    ASSERT_EQ(rename(mount, "one", "Zustand nach dem Update, größer"), 0);
    ASSERT_EQ(rename(mount, "two", "50%25 of a%2Fb"), 0);
    EXPECT_THAT(names(mount), ElementsAre("50%25 of a%2Fb", "Zustand nach dem Update, größer"));
    EXPECT_EQ(rename(mount, "50%25 of a%2Fb", "50%"), EINVAL);
    EXPECT_EQ(make(mount, "%41"), EINVAL);
  }
  const Outcome list = platter({"snapshot", "list", image_});
  EXPECT_THAT(list.out, HasSubstr("50% of a/b"));
  EXPECT_THAT(list.out, HasSubstr("größer"));
  expect_sound();
}

TEST_F(SnapshotsInAMount, StayWhileSomebodyReadsThem) {
  Mount mount(image_);
  ASSERT_EQ(make(mount, "read"), 0);
  {
    const Descriptor disk(open((mount / "snapshots/read/disk.raw").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(disk);
    EXPECT_EQ(remove(mount, "read"), EBUSY);
    EXPECT_EQ(rename(mount, "read", "still"), 0);
    EXPECT_EQ(letters(mount / "snapshots/still/disk.raw"), "----------");
  }
  // The kernel tells of the end of a file in its own time.
  EXPECT_TRUE(comes_true([&] { return remove(mount, "still") == 0; }));
}

TEST_F(SnapshotsInAMount, AreMadeNowhereElseAndOnlyWhereTheyCanBe) {
  {
    Mount mount(image_);
    ASSERT_EQ(make(mount, "a"), 0);
    EXPECT_EQ(make(mount, "a"), EEXIST);
    EXPECT_EQ(error_of(mkdir((mount / "b").c_str(), 0755)), EPERM);
    EXPECT_EQ(error_of(mkdir((mount / "snapshots/a/b").c_str(), 0755)), EPERM);
    EXPECT_EQ(error_of(rmdir((mount / "partitions").c_str())), EPERM);
    EXPECT_EQ(error_of(::rename((mount / "snapshots/a").c_str(), (mount / "a").c_str())), EPERM);
  }
  {
    Mount mount(image_, {"-oro"});
    EXPECT_EQ(make(mount, "b"), EROFS);
    EXPECT_EQ(remove(mount, "a"), EROFS);
  }
  ASSERT_EQ(platter({"create", "-f", "qcow2", "--parent", image_, dir_ / "top.qcow2"}).status, 0);
  Mount child(dir_ / "top.qcow2");
  child.expect_messages();
  EXPECT_EQ(remove(child, "disk.qcow2"), EPERM);
  EXPECT_EQ(rename(child, "disk.qcow2", "x"), EPERM);
  EXPECT_EQ(make(child, "of the child"), 0);
  EXPECT_THAT(names(child), ElementsAre("disk.qcow2", "of the child"));
}

TEST_F(SnapshotsInAMount, AreGoneBackToWhileTheMountGoesOn) {
  {
    Mount mount(image_);
    put(mount, 'a', {0, 1});
    ASSERT_EQ(make(mount, "then"), 0);
    put(mount, 'b', {1, 2});
    EXPECT_EQ(letters(mount / "disk.raw"), "abb-------");  // and the kernel keeps these pages
    const Outcome done = platter({"snapshot", "apply", "--live", image_, "then"});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(letters(mount / "disk.raw"), "aa--------");
    put(mount, 'c', {3});
    EXPECT_EQ(letters(mount / "snapshots/then/disk.raw"), "aa--------");
    EXPECT_EQ(letters(mount / "disk.raw"), "aa-c------");
    const Outcome none = platter({"snapshot", "apply", "--live", mount.path(), "now"});
    EXPECT_EQ(none.status, 1);
    EXPECT_THAT(none.err, HasSubstr("there is no snapshot \"now\""));
    mount.expect_messages();
  }
  const Outcome unmounted = platter({"snapshot", "apply", "--live", image_, "then"});
  EXPECT_EQ(unmounted.status, 1);
  EXPECT_THAT(unmounted.err, HasSubstr("is not mounted"));
  expect_sound();
}

// A thread writes without end, one letter all over the disk and then the next: a snapshot has at
// most two of them, the later one in front.
TEST_F(SnapshotsInAMount, ShowOneMomentOfADiskThatIsBeingWrittenTo) {
  {
    Mount mount(image_);
    std::atomic<bool> stop{false};
    std::atomic<unsigned> written{0};
    std::thread writer([&] {
      const Descriptor disk(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
      for (unsigned i = 0; !stop; ++i) {
        const std::string bytes(kPiece, static_cast<char>('a' + i / 10 % 26));
        if (pwrite(disk.get(), bytes.data(), kPiece, off_t{i % 10} * 100000) < 0) return;
        written = i;
      }
    });
    EXPECT_TRUE(comes_true([&] { return written > 100; }));
    std::vector<std::string> shown;
    for (unsigned i = 0; i < 10; ++i) {
      EXPECT_EQ(make(mount, std::to_string(i)), 0);
      const unsigned before = written;
      EXPECT_TRUE(comes_true([&] { return written > before + 20; }));
      shown.push_back(letters(mount / fmt::format("snapshots/{}/disk.raw", i)));
      const size_t change = shown.back().find_first_not_of(shown.back()[0]);
      if (change == std::string::npos) continue;
      const char older = static_cast<char>(shown.back()[0] == 'a' ? 'z' : shown.back()[0] - 1);
      EXPECT_EQ(shown.back().substr(change), std::string(10 - change, older)) << shown.back();
    }
    stop = true;
    writer.join();
    for (unsigned i = 0; i < 10; ++i) {
      EXPECT_EQ(letters(mount / fmt::format("snapshots/{}/disk.raw", i)), shown[i]);
    }
  }
  expect_sound();
}

// The program dies between or inside of changes; each of them is there as a whole or not at all.
TEST_F(SnapshotsInAMount, AreWholeOrNotThereWhenTheProgramIsKilled) {
  std::set<std::string> done;
  for (unsigned round = 0; round < 5; ++round) {
    std::set<std::string> begun = done;
    {
      Mount mount(image_);
      mount.expect_messages();
      for (const std::string& name : names(mount)) {
        EXPECT_EQ(letters(mount / ("snapshots/" + name + "/disk.raw"))[0], name[0]);
      }
      std::thread killer([&] {
        usleep(30000 + round * 20000);
        kill(mount.pid(), SIGKILL);
      });
      for (unsigned i = 0; i < 26; ++i) {
        const char letter = static_cast<char>('a' + i);
        const std::string name = fmt::format("{}{}", letter, round);
        const Descriptor disk(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
        if (pwrite(disk.get(), &letter, 1, 0) != 1) break;
        begun.insert(name);
        if (make(mount, name) != 0) break;
        done.insert(name);
        if (i % 3 == 2 && remove(mount, name) == 0) done.erase(name);
        begun = done;
      }
      killer.join();
      mount.abort_connection();
      mount.wait_for_end();
    }
    const Outcome checked = platter({"check", image_});
    EXPECT_TRUE(checked.status == 0 || checked.status == 3) << checked.out << checked.err;
    // The last one may be there or not.
    const Outcome listed = platter({"snapshot", "list", image_});
    for (const std::string& name : begun) {
      if (listed.out.find(" " + name + " ") == std::string::npos) done.erase(name);
    }
  }
}

}  // namespace
}  // namespace platter::fusefs
