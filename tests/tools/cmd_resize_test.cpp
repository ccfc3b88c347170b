#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/vdi_builder.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::VdiBuilder;

class ResizeCommand : public testing::Test {
 protected:
  const test::TempDir dir_;
  const std::string raw_ = dir_ / "a.img", vdi_ = dir_ / "a.vdi";
};

TEST_F(ResizeCommand, TakesASizeOrAChange) {
  test::write_file(raw_, std::string(1024, 'x'));
  EXPECT_EQ(cli({"resize", "-f", "raw", raw_, "4k"}).status, 0);
  EXPECT_EQ(test::read_file(raw_).size(), 4096u);
  EXPECT_EQ(cli({"resize", "-f", "raw", raw_, "+1k"}).status, 0);
  EXPECT_EQ(test::read_file(raw_).size(), 5120u);
  EXPECT_EQ(cli({"resize", "-f", "raw", "--shrink", raw_, "-3k"}).status, 0);
  EXPECT_EQ(test::read_file(raw_).size(), 2048u);
  EXPECT_EQ(cli({"resize", "-f", "raw", raw_, "big"}).status, 2);
}

TEST_F(ResizeCommand, CutsNothingUnlessItMay) {
  test::write_file(raw_, std::string(1024, 'x'));
  const auto said = cli({"resize", "-f", "raw", raw_, "512"});
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.err.find("--shrink"), std::string::npos);
  EXPECT_EQ(test::read_file(raw_).size(), 1024u);
}

TEST_F(ResizeCommand, ChangesNoRawDiskThatItGuessed) {
  test::write_file(raw_, std::string(1024, 'x'));
  EXPECT_EQ(cli({"resize", raw_, "4k"}).status, 1);
  EXPECT_EQ(test::read_file(raw_).size(), 1024u);
}

TEST_F(ResizeCommand, GrowsAVdi) {
  ASSERT_EQ(cli({"create", "-f", "vdi", vdi_, "3M"}).status, 0);
  const auto told = cli({"resize", "--json", vdi_, "+5G"}).json();
  EXPECT_EQ(told.at("virtual_size"), 3 * MiB + 5 * GiB);
  EXPECT_EQ(told.at("virtual_size_before"), 3 * MiB);
  EXPECT_EQ(cli({"info", "--json", vdi_}).json().at("virtual_size"), 3 * MiB + 5 * GiB);
  EXPECT_EQ(cli({"check", vdi_}).status, 0);
  EXPECT_EQ(cli({"resize", "--shrink", vdi_, "-1G"}).status, 1);
}

// The child has no block of its own where its disk ends, and the parent goes on behind it.
TEST_F(ResizeCommand, ShowsNothingOfALongerParentInTheBlockTheDiskEndedIn) {
  const VdiBuilder parent{.map = {0, 1}, .data = {9, 8}};
  const VdiBuilder child{.type = 4,
                         .map = {VdiBuilder::kFree},
                         .disk_size = 1024,
                         .uuid = Uuid::random(),
                         .parent_uuid = parent.uuid,
                         .parent_modification_uuid = parent.modification_uuid,
                         .data = {}};
  test::write_file(dir_ / "parent.vdi", parent.build());
  test::write_file(vdi_, child.build());
  ASSERT_EQ(cli({"resize", vdi_, "8k"}).status, 0);
  ASSERT_EQ(cli({"convert", vdi_, dir_ / "out.img", "-O", "raw"}).status, 0);
  const std::string disk = test::read_file(dir_ / "out.img");
  ASSERT_EQ(disk.size(), 8192u);
  EXPECT_EQ(disk[0], 9);
  EXPECT_EQ(disk[1023], 10);
  EXPECT_EQ(disk.find_first_not_of('\0', 1024), std::string::npos);
}

}  // namespace
}  // namespace platter
