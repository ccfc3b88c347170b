// mount(8), fstab and findmnt(8) with what is installed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/packaging/private_system.h"
#include "tests/support/disk_images.h"
#include "tests/support/manual.h"

namespace platter::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kNobody = "65534";

// What an unprivileged user would get.
Outcome run_as_nobody(std::vector<std::string> command) {
  const std::vector<std::string> as = {"setpriv", std::string("--reuid=") + kNobody,
                                       std::string("--regid=") + kNobody, "--clear-groups"};
  command.insert(command.begin(), as.begin(), as.end());
  return run(command);
}

class MountHelper : public testing::Test {
 protected:
  MountHelper() {
    write_file(image_, sector_text(64 * KiB));
    chmod(image_.c_str(), 0644);
  }

  Outcome mount_it(const std::string& type, const std::string& options) const {
    return run({"mount", "-t", type, image_, mnt_.path(), "-o", options});
  }
  // A line for the image and the mountpoint.
  std::string line(const std::string& options) const {
    return image_ + " " + mnt_.path() + " platter " + options + " 0 0\n";
  }

  PrivateSystem& system_ = PrivateSystem::get();
  const std::string dir_ = system_.directory();
  const std::string image_ = dir_ + "/a.img";
  WatchedMountpoint mnt_{dir_ + "/mnt"};
};

class EachType : public MountHelper, public testing::WithParamInterface<std::string> {};

TEST_P(EachType, MountsAndFindmntShowsTheImage) {
  const Outcome mounted = mount_it(GetParam(), "format=raw");
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(mounted.out + mounted.err, "");
  EXPECT_EQ(run({"findmnt", "-n", "-r", "-o", "SOURCE,FSTYPE", mnt_.path()}).out,
            image_ + " fuse.platterfs\n");
  EXPECT_TRUE(read_file(mnt_ / "disk.raw") == sector_text(64 * KiB));
}

TEST_P(EachType, WhatIsWrittenIsInTheImageOnceItIsUnmounted) {
  ASSERT_EQ(mount_it(GetParam(), "format=raw").status, 0);
  const std::string text = sector_text(64 * KiB, 1);
  ASSERT_EQ(run({"sh", "-c", "printf %s \"$1\" | dd status=none conv=notrunc of=\"$2\"", "sh",
                 text.substr(0, 512), mnt_ / "disk.raw"})
                .status,
            0);
  const Outcome unmounted = run({program("platter"), "umount", mnt_.path()});
  EXPECT_EQ(unmounted.status, 0) << unmounted.err;
  EXPECT_EQ(mnt_.entry().type, "");
  EXPECT_TRUE(read_file(image_).substr(0, 512) == text.substr(0, 512));
}

TEST_P(EachType, UmountUnmounts) {
  ASSERT_EQ(mount_it(GetParam(), "ro").status, 0);
  EXPECT_EQ(run({"umount", mnt_.path()}).status, 0);
  EXPECT_EQ(mnt_.entry().type, "");
}

TEST_P(EachType, TakesTheOptionsThatAnyFilesystemHas) {
  for (const std::string options :
       {"defaults", "nofail,_netdev,auto", "noauto,user", "users,nouser", "owner,group",
        "x-systemd.automount,x-gvfs-show,X-other=1", "comment=any text", "dev,suid,exec",
        "atime,diratime,relatime,strictatime,lazytime", "noatime,nodiratime,norelatime",
        "nostrictatime,nolazytime,silent,loud,iversion,noiversion", "sync,dirsync,async"}) {
    const Outcome mounted = mount_it(GetParam(), "ro," + options);
    EXPECT_EQ(mounted.status, 0) << options << ": " << mounted.err;
    EXPECT_EQ(mnt_.entry().type, "fuse.platterfs");
    EXPECT_EQ(run({"umount", mnt_.path()}).status, 0) << options;
  }
}

TEST_P(EachType, OptionsOfTheKernelReachIt) {
  ASSERT_EQ(mount_it(GetParam(), "ro,noexec,nosuid,nodev,noatime").status, 0);
  EXPECT_THAT(mnt_.entry().options,
              AllOf(StartsWith("ro,"), HasSubstr("noexec"), HasSubstr("nosuid"), HasSubstr("nodev"),
                    HasSubstr("noatime")));
}

TEST_P(EachType, AnUnknownOptionMountsNothingAndIsNamed) {
  const Outcome refused = mount_it(GetParam(), "ro,colour=red");
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.err, HasSubstr("unknown option \"colour=red\""));
  EXPECT_EQ(mnt_.entry().type, "");
}

TEST_P(EachType, NamesWithBlanksAndCommasAreKept) {
  const std::string odd = dir_ + "/a b, c.img";
  write_file(odd, sector_text(8192));
  const WatchedMountpoint point(dir_ + "/m n, t");
  const Outcome mounted = run({"mount", "-t", GetParam(), odd, point.path(), "-o", "ro"});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_TRUE(read_file(point / "disk.raw") == sector_text(8192));
}

INSTANTIATE_TEST_SUITE_P(Types, EachType, testing::Values("platter", "fuse.platterfs"),
                         [](const auto& type) {
                           return type.param == "platter" ? "Platter" : "FusePlatterfs";
                         });

TEST_F(MountHelper, ExitStatusesAreThoseOfMount) {
  EXPECT_EQ(mount_it("platter", "ro").status, 0);
  EXPECT_EQ(run({"umount", mnt_.path()}).status, 0);
  EXPECT_EQ(mount_it("platter", "ro,colour=red").status, 1);
  EXPECT_EQ(mount_it("platter", "ro,lock=maybe").status, 1);
  EXPECT_EQ(mount_it("platter", "ro,format=qcow2").status, 32);
  EXPECT_EQ(run({"mount", "-t", "platter", dir_ + "/none", mnt_.path()}).status, 32);
  EXPECT_EQ(run({"mount", "-t", "platter", image_, dir_ + "/none"}).status, 32);
  EXPECT_EQ(run({"mount", "-t", "platter", image_, image_}).status, 32);
  EXPECT_EQ(run({"mount.platter"}).status, 1);
  EXPECT_EQ(run({"mount.platter", image_}).status, 1);
  EXPECT_EQ(run({"mount.platter", image_, mnt_.path(), "more"}).status, 1);
  EXPECT_EQ(run({"mount.platter", "-z", image_, mnt_.path()}).status, 1);
  EXPECT_EQ(run({"mount.platter", image_, mnt_.path(), "-o"}).status, 1);
  EXPECT_EQ(mnt_.entry().type, "");
}

TEST_F(MountHelper, WhatOnlyAnotherUserMayOpenIsAMatterOfPermission) {
  chmod(image_.c_str(), 0600);
  const Outcome refused = run_as_nobody({"mount.platter", image_, mnt_.path()});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("Permission denied"));
}

TEST_F(MountHelper, TooFewDescriptorsAreTheSystemsFault) {
  // One is left for the dynamic loader; what the tests were started with is closed.
  const Outcome refused = run({"sh", "-c",
                               "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n 4; "
                               "exec mount.platter \"$1\" \"$2\"",
                               "sh", image_, mnt_.path()});
  EXPECT_EQ(refused.status, 2) << refused.err;
  EXPECT_THAT(refused.err, StartsWith("platterfs: "));
}

TEST_F(MountHelper, FakeMountsNothingButChecks) {
  EXPECT_EQ(run({"mount", "-f", "-t", "platter", image_, mnt_.path()}).status, 0);
  EXPECT_EQ(mnt_.entry().type, "");
  EXPECT_EQ(run({"mount", "-f", "-t", "platter", image_, mnt_.path(), "-o", "colour"}).status, 1);
  EXPECT_EQ(run({"mount.platter", "-f", image_, dir_ + "/none"}).status, 32);
}

TEST_F(MountHelper, SloppyPassesOverWhatIsNotKnown) {
  const Outcome mounted =
      run({"mount", "-s", "-t", "platter", image_, mnt_.path(), "-o", "colour=red,noexec,ro"});
  EXPECT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_THAT(mnt_.entry().options, HasSubstr("noexec"));
}

TEST_F(MountHelper, VerboseSaysWhatIsMountedWhere) {
  const Outcome mounted =
      run({"mount", "-n", "-v", "-t", "platter", image_, mnt_.path(), "-o", "ro"});
  EXPECT_EQ(mounted.status, 0);
  EXPECT_THAT(mounted.err, HasSubstr("platterfs: " + image_ + " mounted on " + mnt_.path() + "\n"));
}

TEST_F(MountHelper, RemountingIsRefusedAndLeavesTheMount) {
  ASSERT_EQ(mount_it("platter", "format=raw").status, 0);
  const Outcome refused = run({"mount", "-o", "remount,ro", mnt_.path()});
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.err, HasSubstr("remount"));
  EXPECT_THAT(mnt_.entry().options, StartsWith("rw,"));
  EXPECT_TRUE(read_file(mnt_ / "disk.raw") == sector_text(64 * KiB));
}

TEST_F(MountHelper, ALineOfFstabIsMountedByItsMountpoint) {
  write_file(dir_ + "/table", line("ro,noauto,nofail,x-systemd.automount"));
  const Outcome mounted = run({"mount", "--fstab", dir_ + "/table", mnt_.path()});
  EXPECT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(mnt_.entry().source, image_);
}

TEST_F(MountHelper, MountingAllMountsALineOnce) {
  write_file(dir_ + "/table", line("ro"));
  const std::vector<std::string> all = {"mount", "--fstab", dir_ + "/table", "--all", "--verbose"};
  const Outcome first = run(all);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(mnt_.entry().type, "fuse.platterfs");
  const Outcome second = run(all);
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("already mounted"));
}

TEST_F(MountHelper, NofailForgivesAnImageThatIsNotThereAndNothingElse) {
  const std::string missing = dir_ + "/none.qcow2 " + mnt_.path() + " platter ro";
  write_file(dir_ + "/table", missing + ",nofail 0 0\n");
  const Outcome forgiven = run({"mount", "--fstab", dir_ + "/table", "--all"});
  EXPECT_EQ(forgiven.status, 0) << forgiven.err;
  EXPECT_EQ(forgiven.err, "");
  write_file(dir_ + "/table", missing + " 0 0\n");
  EXPECT_NE(run({"mount", "--fstab", dir_ + "/table", "--all"}).status, 0);
  write_file(dir_ + "/broken.qcow2", "QFI\xfb but no more");
  EXPECT_EQ(
      run({"mount", "-t", "platter", dir_ + "/broken.qcow2", mnt_.path(), "-o", "nofail"}).status,
      32);
}

TEST_F(MountHelper, AUserMountsAndUnmountsWhatFstabLetsUsers) {
  system_.set_fstab(line("format=raw,noauto,user"));
  ASSERT_EQ(chown(mnt_.path().c_str(), 65534, 65534), 0);
  ASSERT_EQ(chown(image_.c_str(), 65534, 65534), 0);
  const Outcome mounted = run_as_nobody({"mount", mnt_.path()});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_THAT(mnt_.entry().options,
              AllOf(HasSubstr("nosuid"), HasSubstr("noexec"), Not(HasSubstr("allow_other"))));
  EXPECT_EQ(run_as_nobody({"cmp", image_, mnt_ / "disk.raw"}).status, 0);
  const Outcome unmounted = run_as_nobody({"umount", mnt_.path()});
  EXPECT_EQ(unmounted.status, 0) << unmounted.err;
  EXPECT_EQ(mnt_.entry().type, "");
}

TEST_F(MountHelper, AUserDoesNotUnmountWhatRootMounted) {
  system_.set_fstab(line("ro,noauto,user"));
  ASSERT_EQ(run({"mount", mnt_.path()}).status, 0);
  EXPECT_NE(run_as_nobody({"umount", mnt_.path()}).status, 0);
  EXPECT_EQ(mnt_.entry().type, "fuse.platterfs");
}

TEST_F(MountHelper, HelpAndVersionGoToStandardOutput) {
  const Outcome help = run({"mount.platter", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, StartsWith("usage: mount.platter "));
  const Outcome version = run({"mount.platter", "-V"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, run({"platterfs", "-V"}).out);
}

TEST_F(MountHelper, ItsManualNamesTheOptionsItHasAndNoOthers) {
  const std::string text = read_file(PLATTER_SOURCE_DIR "/packaging/man/mount.platter.8.md");
  const Words documented = bold_in(terms_in(section(text, "# OPTIONS")));
  EXPECT_TRUE(documented.contains("--version"));
  EXPECT_EQ(documented, options_in(run({"mount.platter", "--help"}).out));
}

}  // namespace
}  // namespace platter::test
