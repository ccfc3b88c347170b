#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Said;
using test::TempDir;

class CompareCommand : public testing::Test {
 protected:
  CompareCommand() {
    std::string bytes(100000, 'x');
    test::write_file(dir_ / "a", bytes);
    test::write_file(dir_ / "same", bytes);
    test::write_file(dir_ / "longer", bytes + std::string(5000, '\0'));
    bytes[77777] = 'y';
    test::write_file(dir_ / "other", bytes);
  }
  const TempDir dir_;
};

TEST_F(CompareCommand, ExitsWith0ForTheSameDisk) {
  EXPECT_EQ(cli({"compare", dir_ / "a", dir_ / "same"}).status, 0);
  EXPECT_EQ(cli({"compare", dir_ / "a", dir_ / "longer"}).status, 0);
}

TEST_F(CompareCommand, ExitsWith1AndPrintsTheFirstOffsetThatDiffers) {
  const Said said = cli({"compare", dir_ / "a", dir_ / "other"});
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.out, "they differ first at offset 77777\n");
  EXPECT_EQ(said.err, "");
}

TEST_F(CompareCommand, AnswersInJson) {
  const nlohmann::json wanted = {
      {"same", false}, {"first_difference", 77777}, {"sizes_differ", false}};
  EXPECT_EQ(cli({"compare", "--json", dir_ / "a", dir_ / "other"}).json(), wanted);
  const auto same = cli({"compare", "--json", dir_ / "a", dir_ / "longer"}).json();
  EXPECT_EQ(same.at("same"), true);
  EXPECT_EQ(same.at("sizes_differ"), true);
}

TEST_F(CompareCommand, FindsAnotherSizeDifferentWhenStrict) {
  const Said said = cli({"compare", "--strict", dir_ / "a", dir_ / "longer"});
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.out.find("100000"), std::string::npos);
}

TEST_F(CompareCommand, ExitsWith2WhenItCannotTell) {
  EXPECT_EQ(cli({"compare", dir_ / "a", dir_ / "missing"}).status, 2);
  EXPECT_EQ(cli({"compare", dir_ / "missing", dir_ / "a"}).status, 2);
}

TEST_F(CompareCommand, SaysNothingWhenQuiet) {
  const Said said = cli({"compare", "-q", dir_ / "a", dir_ / "other"});
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.out + said.err, "");
}

}  // namespace
}  // namespace platter
