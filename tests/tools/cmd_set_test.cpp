#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/vdi_builder.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::VdiBuilder;

class SetCommand : public testing::Test {
 protected:
  void SetUp() override { test::write_file(path_, VdiBuilder{.map = {0}, .data = {1}}.build()); }
  const test::TempDir dir_;
  const std::string path_ = dir_ / "a.vdi";
};

TEST_F(SetCommand, ChangesWhatInfoSays) {
  ASSERT_EQ(cli({"set", path_, "comment=a = b", "geometry-lchs=10/20/30"}).status, 0);
  const auto info = cli({"info", "--json", path_}).json();
  EXPECT_EQ(info.at("comment"), "a = b");
  EXPECT_EQ(info.at("geometry").at("lchs").at("heads"), 20);
}

TEST_F(SetCommand, SetsAllValuesOrNone) {
  const std::string before = test::read_file(path_);
  const auto said = cli({"set", path_, "comment=new", "geometry-pchs=1/2/3"});
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.err, "platter: " + path_ + ": geometry-pchs: a VDI keeps no physical geometry\n");
  EXPECT_EQ(test::read_file(path_), before);
}

TEST_F(SetCommand, TakesNothingButPairsThatDiffer) {
  EXPECT_EQ(cli({"set", path_, "comment"}).status, 2);
  EXPECT_EQ(cli({"set", path_, "=x"}).status, 2);
  EXPECT_EQ(cli({"set", path_, "comment=a", "comment=b"}).status, 2);
  EXPECT_EQ(cli({"set", path_}).status, 2);
}

}  // namespace
}  // namespace platter
