#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/image_chain.h"
#include "tests/support/qemu.h"
#include "tests/support/same_bytes.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

namespace fs = std::filesystem;
using test::cli;
using test::disk_of;
using test::ImageChain;
using test::same;
using test::TempDir;
using testing::HasSubstr;

TEST(MergeCommand, MovesAnImageIntoItsParentAndDeletesIt) {
  for (const char* name : {"merge", "commit"}) {
    const TempDir dir;
    const ImageChain chain(dir.path(), {{"vdi"}, {"qcow2"}});
    const auto before = disk_of(chain[0]);
    const auto said = cli({name, chain[0]});
    EXPECT_EQ(said.status, 0) << said.err;
    EXPECT_THAT(said.out, HasSubstr(chain[1] + ": has the whole disk now"));
    EXPECT_THAT(said.out, HasSubstr(chain[0] + ": deleted"));
    EXPECT_FALSE(fs::exists(chain[0]));
    EXPECT_TRUE(same(disk_of(chain[1]), before));
  }
}

TEST(MergeCommand, TellsWhatItDidInJson) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2"}, {"qcow2"}, {"qcow2"}});
  const std::string child = chain.add_child(0, {"qcow2"}, "child");
  const auto before = disk_of(child);
  const auto said = cli({"merge", "--json", "--into", chain[2], "--child", child, chain[0]});
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.json().at("target"), chain[2]);
  EXPECT_EQ(said.json().at("deleted"), nlohmann::json({chain[0], chain[1]}));
  EXPECT_GT(said.json().at("copied"), 0);
  EXPECT_EQ(said.json().at("virtual_size"), test::kChainSize);
  EXPECT_TRUE(same(disk_of(child), before));
  EXPECT_EQ(cli({"check", "-q", chain[2]}).status, 0);
}

TEST(MergeCommand, MakesAnImageIndependentWithUp) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"vmdk"}, {"vmdk"}, {"qcow2"}});
  const auto before = disk_of(chain[0]);
  const auto said = cli({"merge", "-q", "--up", chain[0]});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.out, "");
  EXPECT_TRUE(fs::exists(chain[1]));
  fs::remove(chain[1]);
  fs::remove(chain[2]);
  EXPECT_TRUE(same(disk_of(chain[0]), before));
}

TEST(MergeCommand, StandsOnAnotherAncestorWithOnto) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2"}, {"qcow2"}, {"qcow2"}});
  const auto before = disk_of(chain[0]);
  const auto said = cli({"merge", "--json", "--up", "--delete", "--onto", chain[2], chain[0]});
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.json().at("deleted"), nlohmann::json({chain[1]}));
  EXPECT_TRUE(same(disk_of(chain[0]), before));
  EXPECT_EQ(cli({"info", "--json", chain[0]}).json().at("parent"), "0.qcow2");
}

TEST(MergeCommand, IsWrongUsageWithOptionsThatDoNotGoTogether) {
  EXPECT_EQ(cli({"merge"}).status, 2);
  EXPECT_EQ(cli({"merge", "--up", "--into", "a", "b"}).status, 2);
  EXPECT_EQ(cli({"merge", "--onto", "a", "b"}).status, 2);
  EXPECT_EQ(cli({"merge", "--delete", "b"}).status, 2);
  EXPECT_EQ(cli({"merge", "-r", "b"}).status, 2);
}

// The same chain, merged by both.
TEST(MergeCommand, ComesToWhatQemuDoes) {
  if (!test::have_qemu()) GTEST_SKIP() << "qemu-img and qemu-io are not installed";
  for (const char* base : {"raw", "qcow2", "vdi", "vmdk", "vhdx"}) {
    const TempDir dir;
    const ImageChain chain(dir.path(), {{base}, {"qcow2", "cluster_size=4k"}});
    const std::string name = fs::path(chain[1]).filename();
    EXPECT_EQ(test::run(dir, "mkdir qemu && cp *.* qemu/"), 0);
    EXPECT_EQ(test::run(dir, "cd qemu && qemu-img commit -d 1.qcow2"), 0) << base;
    ASSERT_EQ(cli({"merge", "-q", chain[0]}).status, 0) << base;
    const std::string format = test::qemu_name_of(base);
    EXPECT_EQ(
        test::run(dir, fmt::format("qemu-img compare -f {0} -F {0} {1} qemu/{1}", format, name)), 0)
        << base;
  }
}

TEST(MergeCommand, LeavesImagesThatQemuReadsByThemselves) {
  if (!test::have_qemu()) GTEST_SKIP() << "qemu-img and qemu-io are not installed";
  for (const char* format : {"qcow", "qcow2", "vdi", "vmdk", "vhd", "vhdx"}) {
    const TempDir dir;
    const ImageChain chain(dir.path(), {{format}, {format}});
    ASSERT_EQ(cli({"convert", "-q", "-O", "raw", chain[0], dir / "before.raw"}).status, 0);
    ASSERT_EQ(cli({"merge", "-q", "--up", "--delete", chain[0]}).status, 0) << format;
    EXPECT_THAT(cli({"check", "-q", chain[0]}).status, testing::AnyOf(0, 3)) << format;
    EXPECT_EQ(test::run(dir, fmt::format("qemu-img compare -f {} -F raw 1.{} before.raw",
                                         test::qemu_name_of(format), format)),
              0)
        << format << test::read_file(dir / "out.txt");
  }
}

}  // namespace
}  // namespace platter
