#include <unistd.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "lib/base/range.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using nlohmann::json;
using test::cli;
using test::Said;
using test::TempDir;

class MapCommand : public testing::Test {
 protected:
  MapCommand() {
    test::write_file(path_, std::string(64 * KiB, 'x'));
    EXPECT_EQ(truncate(path_.c_str(), 3 * MiB), 0);
  }
  const TempDir dir_;
  const std::string path_ = dir_ / "a.img";
};

TEST_F(MapCommand, ListsDataAndHolesInJson) {
  const json wanted = {{{"start", 0},
                        {"length", 64 * KiB},
                        {"depth", 0},
                        {"kind", "data"},
                        {"offset", 0},
                        {"file", path_}},
                       {{"start", 64 * KiB},
                        {"length", 3 * MiB - 64 * KiB},
                        {"depth", 0},
                        {"kind", "zero"},
                        {"offset", nullptr},
                        {"file", nullptr}}};
  EXPECT_EQ(cli({"map", "--json", path_}).json(), wanted);
}

TEST_F(MapCommand, ListsAnExtentALine) {
  const Said said = cli({"map", path_});
  EXPECT_EQ(std::ranges::count(said.out, '\n'), 3);
  EXPECT_NE(said.out.find(path_), std::string::npos);
}

TEST_F(MapCommand, AddsUp) {
  const auto summary = cli({"map", "--summary", "--json", path_}).json();
  EXPECT_EQ(summary.at("virtual_size"), 3 * MiB);
  EXPECT_EQ(summary.at("extents"), 2);
  EXPECT_EQ(summary.at("kinds").at("data").at("bytes"), 64 * KiB);
  EXPECT_EQ(summary.at("layers").at(0).at("zero").at("bytes"), 3 * MiB - 64 * KiB);
  EXPECT_NE(cli({"map", "--summary", path_}).out.find("2 extents"), std::string::npos);
}

TEST_F(MapCommand, DrawsLinesOfSigns) {
  const Said said = cli({"map", "--draw", path_});
  EXPECT_EQ(said.status, 0);
  // Of 3 MiB in 1,280 cells of 2,560 bytes 26 begin in the data.
  EXPECT_EQ(said.out.find_first_not_of('#'), 26U);
  EXPECT_EQ(said.out[26], '0');
  EXPECT_NE(said.out.find("# data"), std::string::npos);
  EXPECT_NE(said.out.find("1 piece in its files"), std::string::npos);
  EXPECT_EQ(said.out.find('\x1b'), std::string::npos);
}

TEST_F(MapCommand, DrawsAnSvgFileThatMustBeNew) {
  const std::string svg = dir_ / "a.svg";
  EXPECT_EQ(cli({"map", "--svg", svg, path_}).out, "");
  const std::string drawn = test::read_file(svg);
  EXPECT_TRUE(drawn.starts_with("<svg "));
  EXPECT_TRUE(drawn.ends_with("</svg>\n"));
  EXPECT_NE(drawn.find("layer 0: a.img"), std::string::npos);
  const Said again = cli({"map", "--svg", svg, path_});
  EXPECT_EQ(again.status, 1);
  EXPECT_NE(again.err.find("exists"), std::string::npos) << again.err;
  EXPECT_NE(cli({"map", "--svg", path_, path_}).status, 0);
  EXPECT_EQ(test::read_file(path_).substr(0, 4), "xxxx");
}

TEST_F(MapCommand, GivesTotalsInJsonBesideADrawing) {
  const auto totals = cli({"map", "--svg", dir_ / "b.svg", "--json", path_}).json();
  EXPECT_EQ(totals.at("pieces"), 1);
  EXPECT_EQ(totals.at("virtual_size"), 3 * MiB);
}

TEST_F(MapCommand, DrawsAnEmptyDisk) {
  const std::string empty = dir_ / "empty.img";
  test::write_file(empty, "");
  EXPECT_EQ(cli({"map", "-f", "raw", "--draw", "--svg", dir_ / "empty.svg", empty}).status, 0);
}

}  // namespace
}  // namespace platter
