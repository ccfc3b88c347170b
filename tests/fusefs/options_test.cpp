// The command line: each option does what --help says.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/disk_images.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using namespace platter::test;

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() { write_file(image_, sector_text(16 * KiB)); }

  nlohmann::json live(const Mount& mount) const {
    return nlohmann::json::parse(read_file(mount / "info.json"))["live"];
  }
  TempDir dir_;
  const std::string image_ = dir_ / "a.img";
};

TEST_F(OptionsTest, HelpAndVersionGoToStandardOutput) {
  for (const char* flag : {"-h", "--help"}) {
    const Outcome help = run({program("platterfs"), flag});
    EXPECT_EQ(help.status, 0);
    EXPECT_THAT(help.out, AllOf(StartsWith("usage: platterfs"), HasSubstr("references=")));
    EXPECT_EQ(help.err, "");
  }
  for (const char* flag : {"-V", "--version"}) {
    const Outcome version = run({program("platterfs"), flag});
    EXPECT_EQ(version.status, 0);
    EXPECT_THAT(version.out, ContainsRegex("^platterfs [0-9.]+ "));
  }
}

TEST_F(OptionsTest, TheMountTableShowsTheImageAndTheProgram) {
  const std::string odd = dir_ / "a, b\\c d.img";
  write_file(odd, sector_text(8192));
  const Mount mount(odd);
  ASSERT_TRUE(mount.mounted());
  const Outcome found = run({"findmnt", "-n", "-r", "-o", "FSTYPE,OPTIONS", mount.path()});
  EXPECT_THAT(found.out, StartsWith("fuse.platterfs ro,"));
  EXPECT_THAT(found.out, HasSubstr("default_permissions"));
  EXPECT_EQ(run({"findmnt", "-n", "-o", "SOURCE", mount.path()}).out,
            std::filesystem::canonical(dir_.path()).string() + "/a, b\\c d.img\n");
}

TEST_F(OptionsTest, SourceAndTypeOfTheMountTableCanBeChosen) {
  const Mount mount(image_, {"-o", "fsname=one\\,two,subtype=other"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_EQ(mount_entry(mount.path()).source, "one,two");
  EXPECT_EQ(mount_entry(mount.path()).type, "fuse.other");
}

TEST_F(OptionsTest, OptionsOfTheMountCallReachTheKernel) {
  const Mount mount(image_, {"-onoexec,noatime", "--ro", "-o", "nodiratime,dev,x-any.thing"});
  ASSERT_TRUE(mount.mounted());
  const std::string options = mount_entry(mount.path()).options;
  EXPECT_THAT(options, AllOf(StartsWith("ro"), HasSubstr("noexec"), HasSubstr("noatime"),
                             HasSubstr("nosuid"), Not(HasSubstr("nodev"))));
}

TEST_F(OptionsTest, OwnerAndPermissionsCanBeChosen) {
  const Mount mount(image_, {"-ouid=12,gid=34,umask=027"});
  ASSERT_TRUE(mount.mounted());
  struct stat st = {};
  ASSERT_EQ(stat((mount / "disk.raw").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 12u);
  EXPECT_EQ(st.st_gid, 34u);
  EXPECT_EQ(st.st_mode, S_IFREG | 0440u);
  ASSERT_EQ(stat((mount / "snapshots").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFDIR | 0550u);
}

TEST_F(OptionsTest, ThreadsAreAsManyAsSaid) {
  EXPECT_EQ(live(Mount(image_, {"--threads=3"}))["threads"], 3);
  EXPECT_EQ(live(Mount(image_, {"-omax_threads=2,clone_fd"}))["threads"], 2);
  EXPECT_EQ(live(Mount(image_, {"-s"}))["threads"], 1);
  EXPECT_GE(live(Mount(image_))["threads"], 4);
}

TEST_F(OptionsTest, OneThreadServesToo) {
  const Mount mount(image_, {"-s"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == sector_text(16 * KiB));
}

TEST_F(OptionsTest, AFormatThatIsNamedIsNotProbed) {
  write_overlay(dir_ / "a.qcow2", "");
  const Mount mount(dir_ / "a.qcow2", {"--format=raw"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == read_file(dir_ / "a.qcow2"));
  EXPECT_EQ(mount.messages(), "");
}

TEST_F(OptionsTest, AGuessIsSaid) {
  Mount mount(image_);
  ASSERT_TRUE(mount.mounted());
  mount.expect_messages();
  EXPECT_THAT(mount.messages(),
              AllOf(HasSubstr("platterfs: " + image_ + ": "), HasSubstr("taken for raw")));
}

TEST_F(OptionsTest, AnImageThatCannotBeWrittenIsMountedReadOnlyWithOneLineThatSaysWhy) {
  write_overlay(dir_ / "a.qcow2", "");
  std::string bytes = read_file(dir_ / "a.qcow2");
  bytes[79] = 1;  // incompatible features: the dirty bit
  // A cluster that is used twice, and refcounts of one bit: they cannot be set right.
  bytes[99] = 0;
  bytes.replace(4 * 512 + 8, 8, bytes.substr(4 * 512, 8));
  write_file(dir_ / "a.qcow2", bytes);
  for (const char* option : {"-s", "-orw"}) {
    const Mount mount(dir_ / "a.qcow2", {option});
    ASSERT_TRUE(mount.mounted());
    EXPECT_THAT(mount_entry(mount.path()).options, StartsWith("ro"));
    EXPECT_EQ(mount.messages(), "platterfs: " + dir_ / "a.qcow2" +
                                    ": its refcounts are out of date (dirty bit) and cannot "
                                    "be repaired: it is only read: mounted read-only\n");
  }
  const Mount mount(dir_ / "a.qcow2", {"-oro"});
  EXPECT_EQ(mount.messages(), "");
}

TEST_F(OptionsTest, AFileThatMayNotBeWrittenIsMountedReadOnly) {
  ASSERT_EQ(chmod(image_.c_str(), 0444), 0);
  mkdir((dir_ / "mnt").c_str(), 0755);
  std::vector<std::string> command = {program("platterfs"), "-oformat=raw", image_, dir_ / "mnt"};
  if (geteuid() == 0) {
    command.insert(command.begin(), {"setpriv", "--bounding-set=-dac_override"});
  }
  const Outcome mounted = run(command);
  EXPECT_EQ(mounted.status, 0);
  EXPECT_EQ(mounted.err,
            "platterfs: " + image_ + ": cannot open: Permission denied: mounted read-only\n");
  EXPECT_THAT(mount_entry(dir_ / "mnt").options, StartsWith("ro"));
  EXPECT_EQ(run({"fusermount3", "-u", dir_ / "mnt"}).status, 0);
}

TEST_F(OptionsTest, ReadOnlyWhenSaidAndWhereOthersMayWrite) {
  for (const char* option : {"-oro", "-orw,ro", "-olock=shared", "-orw,lock=shared"}) {
    const Mount mount(image_, {"-oformat=raw", option});
    ASSERT_TRUE(mount.mounted());
    EXPECT_THAT(mount_entry(mount.path()).options, StartsWith("ro")) << option;
    EXPECT_EQ(mount.messages(), "");
  }
  const Mount mount(image_, {"-oformat=raw,ro,rw"});
  EXPECT_THAT(mount_entry(mount.path()).options, StartsWith("rw"));
}

TEST_F(OptionsTest, AnEarlierStateCanBeTheDisk) {
  write_overlay(dir_ / "top.qcow2", "a.img", "raw");
  const Mount mount(dir_ / "top.qcow2", {"-osnapshot=a.img,cache=8M"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw") == sector_text(16 * KiB));
  EXPECT_EQ(nlohmann::json::parse(read_file(mount / "info.json"))["format"], "raw");
}

TEST_F(OptionsTest, ReferencesElsewhereAreFollowedWhenAllowed) {
  const TempDir elsewhere;
  write_file(elsewhere / "base.img", sector_text(16 * KiB));
  write_overlay(dir_ / "top.qcow2", elsewhere / "base.img", "raw");
  const Mount mount(dir_ / "top.qcow2", {"--references=any"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(read_file(mount / "disk.raw").substr(512) == sector_text(16 * KiB).substr(512));
}

TEST_F(OptionsTest, ADirectoryThatIsNotEmptyIsMountedOverWhenAllowed) {
  mkdir((dir_ / "full").c_str(), 0755);
  write_file(dir_ / "full/x", "x");
  const Outcome mounted = run({program("platterfs"), "-ononempty", image_, dir_ / "full"});
  EXPECT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(access((dir_ / "full/disk.raw").c_str(), R_OK), 0);
  EXPECT_EQ(run({"fusermount3", "-u", dir_ / "full"}).status, 0);
}

TEST_F(OptionsTest, MessagesGoToTheLogThatIsNamed) {
  write_file(dir_ / "b.img", sector_text(4 * MiB));
  {
    Mount mount(dir_ / "b.img", {"-oformat=raw", "--log=" + dir_ / "log"});
    ASSERT_TRUE(mount.mounted());
    ASSERT_EQ(truncate((dir_ / "b.img").c_str(), 0), 0);
    EXPECT_THROW((void)read_file(mount / "nothing"), std::runtime_error);
    (void)run({"cat", mount / "disk.raw"});
    EXPECT_EQ(mount.messages(), "");
  }
  EXPECT_THAT(read_file(dir_ / "log"), ContainsRegex("platterfs: error: .*b.img"));
}

TEST_F(OptionsTest, OptionsMayStandBehindTheMountpointAndAfterTwoDashesNothingIsOne) {
  mkdir((dir_ / "mnt").c_str(), 0755);
  EXPECT_EQ(run({program("platterfs"), image_, dir_ / "mnt", "-o", "format=raw"}).status, 0);
  EXPECT_EQ(run({"fusermount3", "-u", dir_ / "mnt"}).status, 0);
  EXPECT_THAT(run({program("platterfs"), "--", "-f", dir_ / "mnt"}).err,
              StartsWith("platterfs: -f: "));
}

struct WrongUsage {
  std::vector<std::string> arguments;
  std::string reason;
};
class WrongUsageTest : public testing::TestWithParam<WrongUsage> {};

TEST_P(WrongUsageTest, IsOneLineThatNamesItAndStatusTwo) {
  std::vector<std::string> command = {program("platterfs")};
  const auto& arguments = GetParam().arguments;
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Outcome outcome = run(command);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.err, "platterfs: " + GetParam().reason + "\n");
  EXPECT_EQ(outcome.out, "");
}

INSTANTIATE_TEST_SUITE_P(
    Usage, WrongUsageTest,
    testing::Values(
        WrongUsage{{}, "IMAGE and MOUNTPOINT are missing"},
        WrongUsage{{"a.img"}, "MOUNTPOINT is missing"},
        WrongUsage{{"-x", "a", "b"}, "unknown option \"-x\" (--help lists them)"},
        WrongUsage{{"--frob", "a", "b"}, "unknown option \"--frob\" (--help lists them)"},
        WrongUsage{{"-o", "ro,frob=1", "a", "b"}, "unknown option \"frob=1\" (--help lists them)"},
        WrongUsage{{"a", "b", "-o"}, "-o needs a list of options"},
        WrongUsage{{"-oformat", "a", "b"}, "option \"format\" needs a value: format=NAME"},
        WrongUsage{{"-oro=1", "a", "b"}, "option \"ro\" has no value"},
        WrongUsage{{"-orw=1", "a", "b"}, "option \"rw\" has no value"},
        WrongUsage{{"-olock=maybe", "a", "b"}, "lock=maybe: must be on, off or shared"},
        WrongUsage{{"-odiscard=x", "a", "b"}, "discard=x: must be on or off"},
        WrongUsage{{"-ozeroes=x", "a", "b"}, "zeroes=x: must be detect or keep"},
        WrongUsage{{"-oformat=x", "a", "b"}, "format=x: there is no such format"},
        WrongUsage{{"-othreads=0", "a", "b"}, "threads=0: must be 1 to 256"},
        WrongUsage{{"-othreads=-1", "a", "b"}, "threads=-1: is no number"},
        WrongUsage{{"-ocache=lots", "a", "b"}, "cache=lots: is no size (64M, 1G)"},
        WrongUsage{{"-oumask=8", "a", "b"}, "umask=8: is no octal number"},
        WrongUsage{{"-oumask=1000", "a", "b"}, "umask=1000: must be 0 to 0777"},
        WrongUsage{{"-ouid=me", "a", "b"}, "uid=me: is no number"},
        WrongUsage{{"-oallow_root,allow_other", "a", "b"},
                   "allow_other and allow_root exclude one another"}));

}  // namespace
}  // namespace platter::fusefs
