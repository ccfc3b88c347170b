// The manual's recipes, typed as they stand.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/loop_device.h"
#include "tests/support/mount.h"

namespace platter::fusefs {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the vocabulary of mount tests

struct Recipe {
  std::string title;
  std::string script;  // all its blocks, one behind the other
};

void PrintTo(const Recipe& recipe, std::ostream* out) { *out << recipe.title; }

// Headings, and below them blocks of lines that begin with four blanks.
std::vector<Recipe> recipes() {
  std::istringstream page(read_file(PLATTER_SOURCE_DIR "/packaging/man/platter-recipes.7.md"));
  std::vector<Recipe> list;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("# ")) list.push_back({line.substr(2), ""});
    if (line.starts_with("    ") && !list.empty()) list.back().script += line.substr(4) + "\n";
  }
  std::erase_if(list, [](const Recipe& recipe) { return recipe.script.empty(); });
  return list;
}

// The files the recipes name, made as quickstart makes its demo disk.
constexpr const char* kPrepare = R"sh(
mkdir mnt files tree tree/etc
echo old-name > tree/etc/hostname
truncate -s 24M evidence.raw
echo 'start=2048, type=83' | sfdisk --quiet --label dos evidence.raw
mke2fs -q -F -t ext4 -d tree -E offset=1048576 evidence.raw 22M
platter convert -q -O qcow2 evidence.raw vm.qcow2
platter convert -q -O vdi evidence.raw win.vdi
platter convert -q -O qcow2 evidence.raw broken.qcow2
# The header names the refcount table, that the first refcount block: a cluster at the end of the
# file is counted that nothing uses.
number_at() { echo $((16#$(od -An -tx1 -j"$1" -N8 broken.qcow2 | tr -d ' '))); }
entry=$(($(number_at "$(number_at 48)") + $(stat -c %s broken.qcow2) / 65536 * 2))
truncate -s +64K broken.qcow2
printf '\000\001' | dd of=broken.qcow2 bs=1 seek=$entry conv=notrunc status=none
)sh";

class Recipes : public testing::TestWithParam<Recipe> {
 protected:
  ~Recipes() override {
    // What a recipe that failed has left.
    const std::string mountpoint = dir_ / "mnt";
    const MountEntry left = mount_entry(mountpoint);
    if (left.type.empty()) return;
    std::ofstream("/sys/fs/fuse/connections/" + std::to_string(left.minor) + "/abort") << "1";
    (void)run({"umount", "--lazy", dir_ / "files"});
    (void)run({"umount", "--lazy", mountpoint});
  }
  Outcome type(const std::string& script) {
    const std::string programs = std::filesystem::path(program("platter")).parent_path();
    return run(
        {"bash", "-euxc",
         "cd '" + dir_.path() + "'; export PATH=\"" + programs + ":$PATH:/sbin\"\n" + script},
        std::chrono::seconds(90));
  }
  const TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(All, Recipes, testing::ValuesIn(recipes()), [](const auto& param) {
  std::string name;
  for (const char c : param.param.title) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
  }
  return name;
});

TEST_P(Recipes, Work) {
  if (const std::string why = no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  const Outcome prepared = type(kPrepare);
  ASSERT_EQ(prepared.status, 0) << prepared.err;
  const Outcome done = type(GetParam().script);
  EXPECT_EQ(done.status, 0) << done.out << done.err;
  EXPECT_EQ(mount_entry(dir_ / "mnt").type, "");
  if (GetParam().title == "REPAIRING AN IMAGE") {
    EXPECT_NE(done.out.find("status 3"), std::string::npos) << "nothing was to be repaired";
  }
}

TEST(RecipesThemselves, DoWhatTheySay) { EXPECT_GE(recipes().size(), 7U); }

}  // namespace
}  // namespace platter::fusefs
