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

}  // namespace
}  // namespace platter
