#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::TempDir;
using testing::HasSubstr;

// A parent and a child of the same format; what a format cannot name is not asked of it.
class RebaseCommand : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    make({parent_, "3M"});
    make({"--parent", parent_, child_});
  }
  void make(std::vector<std::string> words) const {
    words.insert(words.begin(), {"create", "-q", "-f", GetParam()});
    const auto said = cli(words);
    ASSERT_EQ(said.status, 0) << said.err;
  }
  // A copy is the same disk, with the same ids.
  std::string moved(const std::string& name) const {
    const std::string to = dir_ / name;
    std::filesystem::rename(parent_, to);
    return to;
  }
  static void expect_opens(const std::string& path) {
    const auto info = cli({"info", "--chain", path});
    EXPECT_EQ(info.status, 0) << info.err;
  }

  const TempDir dir_;
  const std::string parent_ = dir_ / ("a." + GetParam());
  const std::string child_ = dir_ / ("child." + GetParam());
};

TEST_P(RebaseCommand, FollowsAParentThatWasMoved) {
  const std::string to = moved("a-much-longer-name-than-the-parent-had-before." + GetParam());
  const auto said = cli({"rebase", "--unsafe", "--parent", to, child_});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.out, "");
  expect_opens(child_);
  const auto check = cli({"check", "-q", child_});
  EXPECT_EQ(check.status, 0) << check.err;
  if (GetParam().starts_with("q") && test::run({"qemu-img", "--version"}).status == 0) {
    EXPECT_EQ(test::run({"qemu-img", "compare", child_, to}).status, 0);
  }
}

TEST_P(RebaseCommand, TakesAnotherDiskForItsParent) {
  const std::string other = dir_ / ("other." + GetParam());
  make({other, "3M"});
  ASSERT_EQ(cli({"rebase", "--unsafe", "--parent", other, child_}).status, 0);
  std::filesystem::remove(parent_);
  expect_opens(child_);
  const auto said = cli({"rebase", "--json", "--unsafe", "--parent", other, child_});
  EXPECT_EQ(said.json().at("parent"), other);
}

TEST_P(RebaseCommand, NeverMakesALoop) {
  const std::string before = test::read_file(child_);
  const auto itself = cli({"rebase", "--unsafe", "--parent", child_, child_});
  EXPECT_EQ(itself.status, 1);
  // The others would not tell their children what they are.
  if (!find_format(GetParam())->names_parent_formats()) return;
  const std::string grandchild = dir_ / ("grandchild." + GetParam());
  make({"--parent", child_, grandchild});
  const auto said = cli({"rebase", "--unsafe", "--parent", grandchild, child_});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr(child_ + ": would be its own ancestor"));
  EXPECT_TRUE(test::read_file(child_) == before);
}

TEST_P(RebaseCommand, GivesNoParentToAnImageWithoutOne) {
  const std::string other = dir_ / ("other." + GetParam());
  make({other, "3M"});
  const std::string before = test::read_file(other);
  const auto said = cli({"rebase", "--unsafe", "--parent", parent_, other});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("parent"));
  EXPECT_TRUE(test::read_file(other) == before);
}

TEST_P(RebaseCommand, IsWrongUsageWithoutAParent) {
  EXPECT_EQ(cli({"rebase", "--unsafe", child_}).status, 2);
  EXPECT_EQ(cli({"rebase", child_}).status, 2);
}

// Data, zeroes and nothing in both parents, and in the child over both, in pieces that are no
// blocks.
class Patchwork {
 public:
  explicit Patchwork(const std::string& path) : path_(path) {}

  void write(unsigned seed) const {
    const auto container = Container::open(path_, {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    std::mt19937_64 random(seed);
    const uint64_t size = (*container)->live()->size();
    for (int i = 0; i < 12; ++i) {
      const uint64_t at = random() % size;
      const Range range{at, std::min(size - at, 1 + random() % (300 * KiB))};
      if (random() % 3 == 0) {
        ASSERT_TRUE((*container)->writer()->zero(range, File::Zero::free_space));
      } else {
        ASSERT_TRUE((*container)->writer()->write(at, test::pattern(at, range.length, seed)));
      }
    }
    ASSERT_TRUE((*container)->writer()->close());
  }
  std::vector<std::byte> disk() const {
    const auto container = Container::open(path_);
    if (!container) return {};
    std::vector<std::byte> out((*container)->live()->size());
    EXPECT_TRUE((*container)->live()->read(0, out));
    return out;
  }

 private:
  const std::string path_;
};

TEST_P(RebaseCommand, KeepsTheDiskWhateverTheNewParentShows) {
  for (unsigned seed = 0; seed < 2; ++seed) {
    const TempDir dir;
    const std::string old_parent = dir / ("old." + GetParam());
    const std::string new_parent = dir / ("new." + GetParam());
    const std::string child = dir / ("child." + GetParam());
    make({old_parent, "20M"});
    Patchwork(old_parent).write(seed * 3);
    make({new_parent, seed % 2 == 0 ? "20M" : "11M"});
    Patchwork(new_parent).write(seed * 3 + 1);
    make({"--parent", old_parent, child});
    Patchwork(child).write(seed * 3 + 2);
    const auto before = Patchwork(child).disk();
    ASSERT_FALSE(before.empty());
    const auto said = cli({"rebase", "--json", "--parent", new_parent, child});
    ASSERT_EQ(said.status, 0) << said.err;
    EXPECT_GT(said.json().at("copied"), 0U);
    std::filesystem::remove(old_parent);
    EXPECT_TRUE(Patchwork(child).disk() == before) << seed;
    EXPECT_THAT(cli({"check", "-q", child}).status, testing::AnyOf(0, 3));
    // Where it is now there is nothing to do.
    EXPECT_EQ(cli({"rebase", "--json", "--parent", new_parent, child}).json().at("copied"), 0U);
  }
}

std::vector<std::string> formats_with_children() {
  std::vector<std::string> names;
  for (const Format* format : all_formats()) {
    if (format->can_create_child()) names.emplace_back(format->name());
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Formats, RebaseCommand, testing::ValuesIn(formats_with_children()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace platter
