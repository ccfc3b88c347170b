// What `cmake --install` puts where.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/packaging/private_system.h"

namespace platter::test {
namespace {

namespace fs = std::filesystem;

// The paths of all files below a directory, from there.
std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_directory() && !entry.is_symlink()) continue;
    files.push_back(fs::relative(entry.path().parent_path(), directory) / entry.path().filename());
  }
  return files;
}

const std::vector<std::string> kInstalled = {
    "bin/platter",
    "bin/platterfs",
    "lib/libplatter.so",
    "lib/libplatter.so.0.1",
    "lib/libplatter.so.0.1.0",
    "lib/libplatter.a",
    "lib/pkgconfig/platter.pc",
    "lib/cmake/platter/platter-config.cmake",
    "lib/cmake/platter/platter-config-version.cmake",
    "include/platter.h",
    "include/platter/export.h",
    "include/platter/images.h",
    "include/platter/requests.h",
    "include/platter/result.h",
    "include/platter/virtual_disk.h",
    "share/man/man1/platter.1",
    "share/man/man1/platterfs.1",
    "share/man/man7/platter-recipes.7",
    "share/man/man8/mount.platter.8",
    "share/applications/platter.desktop",
    "share/mime/packages/platter.xml",
    "share/bash-completion/completions/platter",
    "share/bash-completion/completions/platterfs",
    "share/fish/vendor_completions.d/platter.fish",
    "share/fish/vendor_completions.d/platterfs.fish",
    "share/zsh/site-functions/_platter",
    "share/doc/platter/LICENSE",
    "share/doc/platter/README.md",
    "share/doc/platter/CHANGELOG.md",
};

TEST(Install, PutsTheseFilesAndNoOthersBelowAPrefix) {
  const TempDir dir;
  install_below(dir.path(), "/opt/platter");
  std::vector<std::string> expected = kInstalled;
  expected.emplace_back("sbin/mount.platter");
  EXPECT_THAT(files_below(dir / "opt/platter"), testing::UnorderedElementsAreArray(expected));
  EXPECT_EQ(files_below(dir.path()).size(), expected.size());
  EXPECT_EQ(fs::canonical(dir / "opt/platter/sbin/mount.platter"),
            fs::canonical(dir / "opt/platter/bin/platterfs"));
}

TEST(Install, FromUsrLocalTheHelperIsWhereMountLooksForIt) {
  const TempDir dir;
  install_below(dir.path(), "/usr/local");
  EXPECT_THAT(files_below(dir / "usr/local"), testing::UnorderedElementsAreArray(kInstalled));
  EXPECT_EQ(fs::read_symlink(dir / "sbin/mount.platter"), "/usr/local/bin/platterfs");
}

TEST(Install, CanBeDoneAgain) {
  const TempDir dir;
  install_below(dir.path(), "/usr");
  install_below(dir.path(), "/usr");
}

TEST(Install, TheProgramsNeedNoLibraryTheyDoNotUse) {
  for (const char* name : {"platter", "platterfs"}) {
    const Outcome unused = run({"ldd", "--unused", program(name)});
    EXPECT_EQ(unused.status, 0) << name << unused.out;
    EXPECT_EQ(unused.out + unused.err, "") << name;
  }
  EXPECT_EQ(run({"ldd", program("platter")}).out.find("libfuse"), std::string::npos);
}

}  // namespace
}  // namespace platter::test
