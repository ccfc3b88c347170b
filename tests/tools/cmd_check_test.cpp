#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/vdi_builder.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Said;
using test::VdiBuilder;

class CheckCommand : public testing::Test {
 protected:
  Said check(const VdiBuilder& builder, const std::vector<std::string>& more = {}) {
    test::write_file(path_, builder.build());
    std::vector<std::string> words = {"check", path_};
    words.insert(words.end(), more.begin(), more.end());
    return cli(words);
  }
  const test::TempDir dir_;
  const std::string path_ = dir_ / "a.vdi";
  const VdiBuilder sound_{.map = {0}, .data = {1}};
  const VdiBuilder leaking_{.map = {1, VdiBuilder::kFree}, .data = {1, 2}};
  const VdiBuilder corrupt_{.map = {0, 0}, .data = {1}};
};

TEST_F(CheckCommand, TellsByItsExitStatusWhatItFound) {
  EXPECT_EQ(check(sound_).status, 0);
  EXPECT_EQ(check(leaking_).status, 3);
  EXPECT_EQ(check(corrupt_).status, 2);
  EXPECT_EQ(cli({"check", dir_ / "none"}).status, 1);
  EXPECT_EQ(cli({"check", path_, "--repair", "some"}).status, 2);
  test::write_file(dir_ / "a.img", "raw");
  EXPECT_EQ(cli({"check", dir_ / "a.img"}).status, 63);
}

TEST_F(CheckCommand, SaysWhatItFound) {
  EXPECT_NE(check(corrupt_).out.find("entry 1 points at block 0, which another has"),
            std::string::npos);
  EXPECT_EQ(check(sound_).out, "no errors\n");
  const auto json = check(leaking_, {"--json"}).json();
  EXPECT_EQ(json.at("leaks"), 1);
  EXPECT_EQ(json.at("corruptions"), 0);
  EXPECT_EQ(json.at("messages").size(), 1u);
}

TEST_F(CheckCommand, ExitsWithNothingFoundOnceItIsRepaired) {
  EXPECT_EQ(check(leaking_, {"--repair", "leaks"}).status, 0);
  EXPECT_EQ(cli({"check", path_}).status, 0);
  EXPECT_EQ(check(corrupt_, {"--repair", "all"}).status, 0);
  EXPECT_EQ(cli({"check", path_}).status, 0);
}

TEST_F(CheckCommand, RepairsNoMoreThanItIsTold) {
  EXPECT_EQ(check(corrupt_, {"--repair", "leaks"}).status, 2);
  const auto wanted = corrupt_.build();
  EXPECT_EQ(test::read_file(path_),
            std::string(reinterpret_cast<const char*>(wanted.data()), wanted.size()));
}

}  // namespace
}  // namespace platter
