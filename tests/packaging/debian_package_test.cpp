// What cpack makes is installed, used and removed, on a copy of the machine.
#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/packaging/private_system.h"
#include "tests/packaging/throwaway_root.h"

namespace platter::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

// Its path below the directory; empty when there is none.
std::string make_package(const std::string& directory) {
  const Outcome made =
      run({"cpack", "--config", PLATTER_BIN_DIR "/CPackConfig.cmake", "-B", directory},
          std::chrono::seconds(120));
  EXPECT_EQ(made.status, 0) << made.out << made.err;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".deb") return entry.path();
  }
  return {};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

void expect_well_made(const std::string& package) {
  EXPECT_THAT(std::filesystem::path(package).filename().string(),
              MatchesRegex("platter_[0-9.]+_[a-z0-9]+\\.deb"));
  const Outcome depends = run({"dpkg-deb", "--field", package, "Depends"});
  for (const char* name : {"fuse3", "libfuse3-3", "libc6", "libssl3", "libzstd1", "zlib1g"}) {
    EXPECT_THAT(depends.out, HasSubstr(name));
  }
  // Everything root's, and for everybody to read.
  for (const std::string& line : lines_of(run({"dpkg-deb", "--contents", package}).out)) {
    EXPECT_THAT(line, MatchesRegex("[-dl]rw.r.[-x]r.[-x] root/root .*"));
  }
}

void expect_it_mounts(const ThrowawayRoot& root) {
  EXPECT_EQ(root.run({"platter", "create", "-f", "qcow2", "/srv/a.qcow2", "1M"}).status, 0);
  const WatchedMountpoint mountpoint(root / "srv/mnt");
  const Outcome mounted = root.run({"mount", "-t", "platter", "/srv/a.qcow2", "/srv/mnt"});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(mountpoint.entry().type, "fuse.platterfs");
  EXPECT_EQ(std::filesystem::file_size(mountpoint / "disk.raw"), MiB);
  const Outcome unmounted = root.run({"platter", "umount", "/srv/mnt"});
  EXPECT_EQ(unmounted.status, 0) << unmounted.err;
}

TEST(DebianPackage, IsInstalledUsedAndRemoved) {
  leave_the_machine_alone();
  const TempDir dir;
  const std::string package = make_package(dir.path());
  ASSERT_NE(package, "");
  expect_well_made(package);

  const ThrowawayRoot root;
  // What other packages do about it takes longer than all the rest.
  const Outcome installed = root.run({"dpkg", "--no-triggers", "--install", package});
  ASSERT_EQ(installed.status, 0) << installed.out << installed.err;
  const Outcome verified = root.run({"dpkg", "--verify", "platter"});
  EXPECT_EQ(verified.out + verified.err, "");
  const std::vector<std::string> files = lines_of(root.run({"dpkg", "--listfiles", "platter"}).out);
  EXPECT_THAT(files,
              testing::IsSupersetOf(
                  {"/usr/bin/platter", "/usr/bin/platterfs", "/usr/sbin/mount.platter",
                   "/usr/share/man/man1/platter.1.gz", "/usr/share/zsh/vendor-completions/_platter",
                   "/usr/share/doc/platter/changelog.gz", "/usr/share/doc/platter/copyright"}));
  expect_it_mounts(root);

  const Outcome removed = root.run({"dpkg", "--no-triggers", "--purge", "platter"});
  EXPECT_EQ(removed.status, 0) << removed.err;
  for (const std::string& file : files) {
    if (file.find("platter") == std::string::npos) continue;
    EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(root / file))) << file;
  }
}

}  // namespace
}  // namespace platter::test
