#include "lib/ops/copy.h"

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/set.h"
#include "tests/support/image_chain.h"
#include "tests/support/same_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_keys.h"

namespace platter {
namespace {

namespace fs = std::filesystem;
using test::ChainPart;
using test::disk_of;
using test::ImageChain;
using test::same;
using test::TempDir;
using testing::Contains;
using testing::HasSubstr;

CopyArgs copy_of(const std::string& path, const std::string& to) {
  return {.path = path, .to = to, .threads = 2};
}

Result<CopyReport> copied(const CopyArgs& args) {
  NoProgress progress;
  return copy_image(args, progress);
}

ImageInfo info_at(const std::string& path) {
  const auto image = Container::open(path, {.parents = false});
  return image ? (*image)->info() : ImageInfo{};
}

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.insert(entry.path().filename());
  }
  return names;
}

TEST(Copy, KeepsTheLayersOfAChain) {
  const std::vector<std::vector<ChainPart>> chains = {
      {{"vdi", "block_size=4k"}, {"vdi", "block_size=64k"}, {"qcow2", "cluster_size=512"}},
      {{"vmdk"}, {"vmdk"}, {"qcow2"}},
      {{"vhdx", "block_size=1M"}, {"vhdx", "block_size=1M"}},
      {{"vhd"}, {"vhd"}, {"vhd"}},
      {{"raw"}, {"qcow"}},
      {{"qcow2", "", 2 * MiB}, {"qcow2", "", MiB}, {"qcow2", "", 3 * MiB}}};
  for (const auto& parts : chains) {
    const TempDir dir;
    fs::create_directory(dir / "from");
    fs::create_directory(dir / "to");
    const ImageChain chain(dir / "from", parts);
    const auto at = [&](size_t depth) {
      return dir / "to/" + fs::path(chain[depth]).filename().string();
    };
    CopyArgs args = copy_of(chain[0], at(0));
    args.layers = true;
    const auto report = copied(args);
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->images.size(), chain.count());
    EXPECT_EQ(names_in(dir / "to"), names_in(dir / "from"));
    std::vector<std::vector<std::byte>> before;
    for (size_t i = 0; i < chain.count(); ++i) before.push_back(disk_of(chain[i]));
    // The copies stand on one another.
    fs::remove_all(dir / "from");
    for (size_t i = 0; i < chain.count(); ++i) {
      EXPECT_TRUE(same(disk_of(at(i)), before[i])) << parts[0].format << i;
    }
  }
}

TEST(Copy, MakesImagesOfAnotherFormat) {
  for (const std::string format : {"vdi", "vmdk", "vhd", "vhdx", "qcow2"}) {
    const TempDir dir;
    fs::create_directory(dir / "to");
    const ImageChain chain(dir.path(), {{"raw"}, {"qcow2", "cluster_size=2k"}, {"qcow2"}});
    CopyArgs args = copy_of(chain[0], dir / "to/2." + format);
    args.layers = true;
    args.target = find_format(format);
    const auto report = copied(args);
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_TRUE(same(disk_of(args.to), disk_of(chain[0]))) << format;
    const std::set<std::string> names = {"0." + format, "1." + format, "2." + format};
    EXPECT_EQ(names_in(dir / "to"), names);
  }
}

TEST(Copy, OfAChildOntoTheCopyOfItsParentIsOnlyWhatTheChildHas) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2", "cluster_size=64k"}});
  const std::string child = dir / "child.qcow2";
  const auto parent =
      describe_parent({.path = chain[0], .child = child, .child_format = find_format("qcow2")});
  ASSERT_TRUE(parent);
  ASSERT_TRUE(create_image({.path = child,
                            .format = *find_format("qcow2"),
                            .size = parent->size,
                            .parent = parent->link}));
  {
    const auto disk = Container::open(child, {.access = Access::write});
    ASSERT_TRUE(disk);
    Writer& writer = *(*disk)->writer();
    ASSERT_TRUE(writer.write(MiB, std::vector<std::byte>(128 * KiB, std::byte{7})));
    ASSERT_TRUE(writer.zero({2 * MiB, 64 * KiB}, File::Zero::free_space));
    ASSERT_TRUE(writer.close());
  }
  ASSERT_TRUE(copied(copy_of(chain[0], dir / "base-copy.qcow2")));
  CopyArgs args = copy_of(child, dir / "child-copy.qcow2");
  args.parent = dir / "base-copy.qcow2";
  const auto report = copied(args);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->images.at(0).bytes, 128 * KiB);
  const auto before = disk_of(child);
  fs::remove(chain[0]);
  EXPECT_TRUE(same(disk_of(args.to), before));
}

TEST(Copy, SaysWhatTheImageSaysButForTheUuid) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"vdi"}});
  ASSERT_TRUE(set_metadata({.path = chain[0],
                            .format = "vdi",
                            .values = {{"comment", "of May"}, {"geometry-lchs", "3/16/63"}}}));
  const ImageInfo source = info_at(chain[0]);
  ASSERT_TRUE(copied(copy_of(chain[0], dir / "a.vdi")));
  const ImageInfo copy = info_at(dir / "a.vdi");
  EXPECT_EQ(copy.comment, "of May");
  EXPECT_EQ(copy.lchs->heads, 16u);
  EXPECT_EQ(copy.modification_uuid, source.modification_uuid);
  EXPECT_NE(copy.uuid, source.uuid);
  CopyArgs args = copy_of(chain[0], dir / "b.vdi");
  args.values = {{"uuid", source.uuid->to_string()}, {"comment", "of June"}};
  ASSERT_TRUE(copied(args));
  EXPECT_EQ(info_at(dir / "b.vdi").uuid, source.uuid);
  EXPECT_EQ(info_at(dir / "b.vdi").comment, "of June");
  const auto other =
      copied({.path = chain[0], .to = dir / "c.qcow2", .target = find_format("qcow2")});
  ASSERT_TRUE(other);
  EXPECT_THAT(other->images.at(0).left_out, Contains("comment"));
}

TEST(Copy, MakesALargerDiskAndNoSmallerOne) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2"}, {"qcow2"}});
  CopyArgs args = copy_of(chain[0], dir / "large.qcow2");
  args.size = 5 * MiB;
  ASSERT_TRUE(copied(args));
  auto wanted = disk_of(chain[0]);
  wanted.resize(5 * MiB);
  EXPECT_TRUE(same(disk_of(args.to), wanted));
  args.to = dir / "small.qcow2";
  args.size = MiB;
  EXPECT_EQ(copied(args).error().code(), Errc::invalid);
}

TEST(Copy, LeavesNothingUnlessAllWentWell) {
  const TempDir dir;
  fs::create_directory(dir / "to");
  const ImageChain chain(dir.path(), {{"vmdk", "subformat=twoGbMaxExtentSparse"}, {"vmdk"}});
  CopyArgs args = copy_of(chain[0], dir / "to/1.vmdk");
  args.layers = true;
  args.values = {{"colour", "red"}};
  EXPECT_EQ(copied(args).error().code(), Errc::unsupported);
  EXPECT_EQ(names_in(dir / "to").size(), 0u);
  // A name that is taken.
  test::write_file(dir / "to/1.vmdk", std::string_view("mine"));
  args.values = {};
  EXPECT_THAT(copied(args).error().message(), HasSubstr("exists already"));
  EXPECT_EQ(names_in(dir / "to").size(), 1u);
  EXPECT_EQ(test::read_file(dir / "to/1.vmdk"), "mine");
}

TEST(Copy, TakesNoOtherDiskForTheCopyOfAParent) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2"}, {"qcow2"}});
  ASSERT_TRUE(
      create_image({.path = dir / "other.qcow2", .format = *find_format("qcow2"), .size = MiB}));
  CopyArgs args = copy_of(chain[0], dir / "copy.qcow2");
  args.parent = dir / "other.qcow2";
  EXPECT_THAT(copied(args).error().message(), HasSubstr("another size"));
  args.path = chain[1];
  EXPECT_THAT(copied(args).error().message(), HasSubstr("has no parent"));
}

TEST(Copy, KeepsWhatIsEncryptedSo) {
  const TempDir dir;
  const Options luks = {{"encrypt.format", "luks"}, {"encrypt.iter-time", "1"}};
  ASSERT_TRUE(create_image({.path = dir / "secret.qcow2",
                            .format = *find_format("qcow2"),
                            .size = MiB,
                            .options = luks,
                            .keys = test::test_keys()}));
  CopyArgs args = copy_of(dir / "secret.qcow2", dir / "copy.qcow2");
  args.keys = args.new_keys = test::test_keys();
  EXPECT_THAT(copied(args).error().message(), HasSubstr("the copy would not be"));
  args.options = luks;
  const auto done = copied(args);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(info_at(args.to).encrypted);
  // Blocks of a child may be filled up with what is its parent's.
  const auto parent = describe_parent({.path = dir / "secret.qcow2",
                                       .child = dir / "child.qcow2",
                                       .child_format = find_format("qcow2")});
  ASSERT_TRUE(parent);
  ASSERT_TRUE(create_image({.path = dir / "child.qcow2",
                            .format = *find_format("qcow2"),
                            .size = MiB,
                            .parent = parent->link}));
  args = copy_of(dir / "child.qcow2", dir / "child-copy.qcow2");
  args.keys = test::test_keys();
  args.parent = dir / "copy.qcow2";
  EXPECT_THAT(copied(args).error().message(), HasSubstr("the copy would not be"));
}

}  // namespace
}  // namespace platter
