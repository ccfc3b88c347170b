// Differencing images on disk: the parent is known by its UUIDs alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lib/container/container.h"
#include "tests/formats/vdi/vdi_names.h"
#include "tests/support/temp_dir.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

Uuid id(unsigned n) {
  Uuid uuid;
  uuid.bytes[15] = static_cast<std::byte>(n);
  uuid.bytes[14] = static_cast<std::byte>(n >> 8);
  uuid.bytes[0] = std::byte{1};
  return uuid;
}

// The composition of the format's description: base [0, free, zero, 1, free], child [free, 0, free,
// zero, free].
VdiBuilder base() {
  return {
      .map = {0, kF, kZ, 1, kF}, .uuid = id(1), .modification_uuid = id(2), .data = {0x11, 0x22}};
}
VdiBuilder child() {
  return {.type = 4,
          .map = {kF, 0, kF, kZ, kF},
          .uuid = id(3),
          .modification_uuid = id(4),
          .parent_uuid = id(1),
          .parent_modification_uuid = id(2),
          .data = {0x33}};
}

class VdiChain : public testing::Test {
 protected:
  void write(const std::string& name, const VdiBuilder& builder) {
    const auto bytes = builder.build();
    test::write_file(dir_ / name, Bytes(bytes));
  }

  // The first byte of each block of the disk.
  std::vector<int> read(const std::string& name, const ContainerOptions& options = {}) {
    auto container = Container::open(dir_ / name, options);
    if (!container) {
      ADD_FAILURE() << container.error().message();
      return {};
    }
    const View& view = *(*container)->live();
    std::vector<std::byte> bytes(view.size());
    EXPECT_TRUE(view.read(0, bytes));
    std::vector<int> firsts;
    for (size_t i = 0; i < bytes.size(); i += 4096) {
      firsts.push_back(std::to_integer<int>(bytes[i]));
    }
    return firsts;
  }

  std::string refusal(const std::string& name, const ContainerOptions& options = {}) {
    auto container = Container::open(dir_ / name, options);
    return container ? "" : container.error().message();
  }

  test::TempDir dir_;
};

TEST_F(VdiChain, TakesFreeBlocksFromTheParentAndHidesItBehindZeroOnes) {
  write("base.vdi", base());
  write("child.vdi", child());
  EXPECT_THAT(read("base.vdi"), ElementsAre(0x11, 0, 0, 0x22, 0));
  EXPECT_THAT(read("child.vdi"), ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, FindsTheParentAboveADirectoryOfSnapshots) {
  std::filesystem::create_directory(dir_ / "Snapshots");
  write("disk.VDI", base());
  write("Snapshots/{1}.vdi", child());
  EXPECT_THAT(read("Snapshots/{1}.vdi"), ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, LooksInTheDirectoryAboveAnotherOneOnlyWhenItMay) {
  std::filesystem::create_directory(dir_ / "elsewhere");
  write("disk.vdi", base());
  write("elsewhere/child.vdi", child());
  EXPECT_THAT(refusal("elsewhere/child.vdi"), HasSubstr("references=any"));
  EXPECT_THAT(read("elsewhere/child.vdi", {.references = References::any}),
              ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, PassesOverWhatIsBesideButNotTheParent) {
  write("base.vdi", base());
  write("child.vdi", child());
  auto other = base();
  other.uuid = id(77);
  write("a-stranger.vdi", other);
  test::write_file(dir_ / "a-text.vdi", "not an image");
  test::write_file(dir_ / "an-empty-one.vdi", "");
  EXPECT_THAT(read("child.vdi"), ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, GoesThroughSeveralGenerations) {
  write("base.vdi", base());
  write("child.vdi", child());
  auto grandchild = child();
  grandchild.uuid = id(5);
  grandchild.modification_uuid = id(6);
  grandchild.parent_uuid = id(3);
  grandchild.parent_modification_uuid = id(4);
  grandchild.map = {kF, kF, 0, kF, kZ};
  grandchild.data = {0x44};
  write("grandchild.vdi", grandchild);
  EXPECT_THAT(read("grandchild.vdi"), ElementsAre(0x11, 0x33, 0x44, 0, 0));
}

TEST_F(VdiChain, ReadsZeroesPastTheEndOfASmallerParent) {
  auto small = base();
  small.map = {0};
  small.data = {0x11};
  write("base.vdi", small);
  write("child.vdi", child());
  EXPECT_THAT(read("child.vdi"), ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, OpensAnUndoImageAsADifferencingOne) {
  write("base.vdi", base());
  auto undo = child();
  undo.type = 3;
  write("undo.vdi", undo);
  EXPECT_THAT(read("undo.vdi"), ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, OfTheOldestVersionChecksNoModificationId) {
  write("base.vdi", base());
  auto old = child();
  old.version = 0x00000002;
  write("child.vdi", old);
  EXPECT_THAT(read("child.vdi"), ElementsAre(0x11, 0x33, 0, 0, 0));
}

TEST_F(VdiChain, RefusesAParentThatWasChangedAfterwards) {
  auto changed = base();
  changed.modification_uuid = id(99);
  write("base.vdi", changed);
  write("child.vdi", child());
  EXPECT_EQ(refusal("child.vdi"),
            (dir_ / "child.vdi") + ": its parent " + id(1).to_string() +
                " was changed after this image was made: what they show together is not the disk");
}

TEST_F(VdiChain, SaysWhichParentIsMissing) {
  write("child.vdi", child());
  EXPECT_THAT(refusal("child.vdi"),
              HasSubstr("its parent, the vdi with the id " + id(1).to_string()));
}

TEST_F(VdiChain, FollowsNoIdWhenReferencesAreForbidden) {
  write("base.vdi", base());
  write("child.vdi", child());
  EXPECT_NE(refusal("child.vdi", {.references = References::none}), "");
}

TEST_F(VdiChain, IsDescribedWithoutItsParent) {
  write("child.vdi", child());
  const auto container = Container::open(dir_ / "child.vdi", {.parents = false});
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->info().parent->uuid, id(1));
}

TEST_F(VdiChain, RefusesAnImageThatIsItsOwnParent) {
  auto self = child();
  self.uuid = id(1);
  self.modification_uuid = id(2);
  write("self.vdi", self);
  EXPECT_THAT(refusal("self.vdi"), HasSubstr("the chain is a loop"));
}

TEST_F(VdiChain, RefusesTwoImagesThatAreEachOthersParents) {
  auto a = child();
  a.uuid = id(1);
  a.modification_uuid = id(2);
  a.parent_uuid = id(3);
  a.parent_modification_uuid = id(4);
  write("a.vdi", a);
  write("b.vdi", child());
  EXPECT_THAT(refusal("a.vdi"), HasSubstr("the chain is a loop"));
}

TEST_F(VdiChain, NamesTheFileOfACorruptBlock) {
  auto broken = base();
  broken.map[0] = 1000;
  write("base.vdi", broken);
  write("child.vdi", child());
  const auto container = Container::open(dir_ / "child.vdi");
  ASSERT_TRUE(container) << container.error().message();
  std::vector<std::byte> out(512);
  const auto read = (*container)->live()->read(0, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message(),
            (dir_ / "base.vdi") + ": block 0: points past the end of the file");
}

}  // namespace
}  // namespace platter::vdi
