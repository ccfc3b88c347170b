// QEMU reads what we wrote through a mount, and each of us keeps the other from a locked image.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/io/posix_file.h"
#include "tests/support/bytes.h"
#include "tests/support/child_process.h"
#include "tests/support/created_image.h"
#include "tests/support/mount.h"
#include "tests/support/qemu.h"

namespace platter::fusefs {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace platter::test;

constexpr uint64_t kSize = 40 * MiB + 512;

bool has_locks(pid_t pid) {
  std::error_code error;
  for (std::filesystem::directory_iterator fd("/proc/" + std::to_string(pid) + "/fdinfo", error),
       end;
       !error && fd != end; fd.increment(error)) {
    std::ifstream in(fd->path());
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("lock:")) return true;
    }
  }
  return false;
}

// Images of formats that QEMU has too; children only we have of some.
class BesideQemu : public testing::TestWithParam<HowMade> {
 protected:
  void SetUp() override {
    for (const char* tool : {"qemu-img", "qemu-io"}) {
      if (run({tool, "--version"}).status != 0) GTEST_SKIP() << "there is no " << tool;
    }
    if (image_.encrypted()) GTEST_SKIP() << "QEMU is given no key here";
  }
  void write_by_mount(const Mount& mount) {
    const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    for (unsigned i = 0; i < 300; ++i) {
      const uint64_t at = random_() % kSize;
      const auto bytes = pattern(at, std::min(1 + random_() % (300 * KiB), kSize - at), i);
      const auto offset = static_cast<off_t>(at);
      const auto length = static_cast<off_t>(bytes.size());
      if (i % 5 == 4) {
        const int mode = i % 2 == 0 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
        ASSERT_EQ(fallocate(fd.get(), mode | FALLOC_FL_KEEP_SIZE, offset, length), 0);
      } else {
        ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), offset), length);
      }
    }
    ASSERT_EQ(fsync(fd.get()), 0);
  }
  // The flat disk as QEMU sees it in the image, beside a flat file.
  void expect_same_disk(const std::string& flat) const {
    const Outcome compared = run({"qemu-img", "compare", "--force-share", "-f", qemu_name_, "-F",
                                  "raw", image_.path(), flat});
    EXPECT_EQ(compared.status, 0) << compared.out << compared.err;
  }
  void expect_qemu_finds_nothing_wrong() const {
    const Outcome checked = run({"qemu-img", "check", "-f", qemu_name_, image_.path()});
    // 63: nothing in this format can be checked.
    EXPECT_THAT(checked.status, AnyOf(0, 63)) << checked.out << checked.err;
  }
  std::vector<std::string> qemu_io(const std::string& command) const {
    return {"qemu-io", "-f", qemu_name_, "-c", command, image_.path()};
  }
  // Holds the image as a virtual machine would, until it goes.
  ChildProcess held_by_qemu(bool writes) const {
    std::vector<std::string> command = qemu_io("sleep 600000");
    if (!writes) command.insert(command.begin() + 1, "-r");
    return ChildProcess(command);
  }
  bool busy_for(Access access) const {
    const auto tried = Container::open(
        image_.path(), {.format = GetParam().format, .access = access, .lock = true});
    return !tried && tried.error().code() == Errc::busy;
  }
  // A mount that must not come about: what platterfs says.
  Outcome try_to_mount(const std::vector<std::string>& more) const {
    mkdir((dir_ / "second").c_str(), 0755);
    std::vector<std::string> command = image_.options(more);
    command.insert(command.begin(), program("platterfs"));
    command.insert(command.end(), {image_.path(), dir_ / "second"});
    const Outcome outcome = run(command);
    if (outcome.status == 0) run({"fusermount3", "-u", dir_ / "second"});
    return outcome;
  }

  TempDir dir_;
  const CreatedImage image_{GetParam(), dir_.path(), kSize};
  const std::string qemu_name_ = qemu_name_of(GetParam().format);
  std::mt19937_64 random_{5};
};

INSTANTIATE_TEST_SUITE_P(Images, BesideQemu, testing::ValuesIn(bases_to_make()),
                         testing::PrintToStringParamName());

TEST_P(BesideQemu, ItReadsWhatIsWrittenThroughAMount) {
  for (int session = 0; session < 3 && !HasFailure(); ++session) {
    {
      const Mount mount(image_.path(), image_.options());
      ASSERT_TRUE(mount.mounted());
      write_by_mount(mount);
      // Flushed: it is all in the file for others, mounted or not.
      expect_same_disk(mount / "disk.raw");
      ASSERT_EQ(run({"cp", "--sparse=always", mount / "disk.raw", dir_ / "flat"}).status, 0);
    }
    expect_same_disk(dir_ / "flat");
    expect_qemu_finds_nothing_wrong();
  }
}

TEST_P(BesideQemu, ItWritesWhereWeWroteAndWeReadThat) {
  {
    const Mount mount(image_.path(), image_.options());
    ASSERT_TRUE(mount.mounted());
    write_by_mount(mount);
  }
  for (const char* command :
       {"write -P 0x61 3M 5M", "write -P 0x62 1000k 100k", "write -z 7M 2M"}) {
    const Outcome wrote = run(qemu_io(command));
    ASSERT_EQ(wrote.status, 0) << wrote.out << wrote.err;
  }
  const Mount mount(image_.path(), image_.options());
  ASSERT_TRUE(mount.mounted());
  expect_same_disk(mount / "disk.raw");
  write_by_mount(mount);
  expect_same_disk(mount / "disk.raw");
}

TEST_P(BesideQemu, ItIsKeptFromWhatWeWrite) {
  const Mount mount(image_.path(), image_.options());
  ASSERT_TRUE(mount.mounted());
  const Outcome write = run(qemu_io("write 0 512"));
  EXPECT_NE(write.status, 0);
  EXPECT_THAT(write.err, HasSubstr("lock"));
}

TEST_P(BesideQemu, ItReadsWhatWeOnlyReadButDoesNotWriteIt) {
  const Mount mount(image_.path(), image_.options({"-oro"}));
  ASSERT_TRUE(mount.mounted());
  const Outcome read = run({"qemu-io", "-r", "-f", qemu_name_, "-c", "read 0 512", image_.path()});
  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_NE(run(qemu_io("write 0 512")).status, 0);
}

TEST_P(BesideQemu, WeAreKeptFromWhatItWritesAndToldItsProcess) {
  const ChildProcess qemu = held_by_qemu(true);
  ASSERT_TRUE(comes_true([&] { return busy_for(Access::read); }));
  for (const char* option : {"-orw", "-oro"}) {
    const Outcome refused = try_to_mount({option});
    EXPECT_EQ(refused.status, 1) << option;
    EXPECT_THAT(refused.err, AllOf(StartsWith("platterfs: " + image_.path() + ": "),
                                   HasSubstr(std::to_string(qemu.pid()))));
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  }
  const Outcome shared = try_to_mount({"-olock=shared"});
  EXPECT_EQ(shared.status, 0) << shared.err;
  const Outcome off = try_to_mount({"-olock=off"});
  EXPECT_EQ(off.status, 0) << off.err;
}

// Whether a reader keeps writers away differs from format to format.
TEST_P(BesideQemu, WeReadWhatItOnlyReadsAndWriteItWhereItWouldItself) {
  const ChildProcess qemu = held_by_qemu(false);
  ASSERT_TRUE(comes_true([&] { return has_locks(qemu.pid()); }));
  EXPECT_EQ(try_to_mount({"-oro"}).status, 0);
  const bool refuses_itself = run(qemu_io("write 0 512")).status != 0;
  const Outcome ours = try_to_mount({"-orw"});
  EXPECT_EQ(ours.status, refuses_itself ? 1 : 0) << ours.err;
  EXPECT_TRUE(!refuses_itself || ours.err.find(std::to_string(qemu.pid())) != std::string::npos);
}

TEST_P(BesideQemu, AMountThatSharesIsReadOnly) {
  const Mount writer(image_.path(), image_.options());
  ASSERT_TRUE(writer.mounted());
  Mount reader(image_.path(), image_.options({"-olock=shared"}));
  ASSERT_TRUE(reader.mounted());
  EXPECT_THAT(mount_entry(reader.path()).options, StartsWith("ro"));
  EXPECT_EQ(open((reader / "disk.raw").c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(BesideQemu, WithoutALockNothingIsRefused) {
  const Mount writer(image_.path(), image_.options());
  ASSERT_TRUE(writer.mounted());
  const Mount other(image_.path(), image_.options({"-olock=off"}));
  ASSERT_TRUE(other.mounted());
  EXPECT_THAT(mount_entry(other.path()).options, StartsWith("rw"));
  EXPECT_EQ(try_to_mount({}).status, 1);
}

}  // namespace
}  // namespace platter::fusefs
