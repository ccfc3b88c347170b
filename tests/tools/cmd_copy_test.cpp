#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/image_chain.h"
#include "tests/support/qemu.h"
#include "tests/support/same_bytes.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::disk_of;
using test::ImageChain;
using test::same;
using test::TempDir;
using testing::HasSubstr;

TEST(CopyCommand, CopiesTheDiskAndWhatTheImageSays) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"vdi"}, {"vdi"}});
  ASSERT_EQ(cli({"set", chain[0], "comment=of May"}).status, 0);
  const std::string copy = dir / "copy.vdi";
  const auto said =
      cli({"copy", "--set", "uuid=01234567-89ab-4cde-8f01-23456789abcd", chain[0], copy});
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr(copy + ": vdi, "));
  EXPECT_TRUE(same(disk_of(copy), disk_of(chain[0])));
  const auto info = cli({"info", "--json", copy}).json();
  EXPECT_EQ(info.at("comment"), "of May");
  EXPECT_EQ(info.at("uuid"), "01234567-89ab-4cde-8f01-23456789abcd");
}

TEST(CopyCommand, CopiesAChainLayerByLayer) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "to");
  const ImageChain chain(dir.path(), {{"vmdk"}, {"qcow2"}});
  const auto said =
      cli({"copy", "--json", "--layers", "-O", "qcow2", chain[0], dir / "to/top.qcow2"});
  ASSERT_EQ(said.status, 0) << said.err;
  const nlohmann::json images = said.json().at("images");
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].at("file"), dir / "to/0.qcow2");
  EXPECT_EQ(images[1].at("file"), dir / "to/top.qcow2");
  EXPECT_TRUE(same(disk_of(dir / "to/top.qcow2"), disk_of(chain[0])));
  if (!test::have_qemu()) return;
  EXPECT_EQ(test::run(dir, "qemu-img compare 1.qcow2 to/top.qcow2"), 0);
}

TEST(CopyCommand, IsWrongUsageWithValuesThatAreNone) {
  EXPECT_EQ(cli({"copy", "a"}).status, 2);
  EXPECT_EQ(cli({"copy", "--size", "much", "a", "b"}).status, 2);
  EXPECT_EQ(cli({"copy", "--layers", "--parent", "p", "a", "b"}).status, 2);
  EXPECT_EQ(cli({"copy", "--set", "uuid", "a", "b"}).status, 2);
  EXPECT_EQ(cli({"copy", "-O", "none", "a", "b"}).status, 2);
}

}  // namespace
}  // namespace platter
