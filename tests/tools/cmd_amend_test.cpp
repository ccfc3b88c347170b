#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::TempDir;

class AmendCommand : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cli({"create", "-q", "-f", "qcow2", "-o", "compat=0.10", path_, "1M"}).status, 0);
  }
  std::string compat() const {
    return cli({"info", "--json", path_}).json().at("details").at("compat");
  }
  const TempDir dir_;
  const std::string path_ = dir_ / "a.qcow2";
};

TEST_F(AmendCommand, MakesAnImageOneOfTheOtherVersion) {
  const auto up = cli({"amend", "-o", "compat=1.1,lazy_refcounts=on", path_});
  EXPECT_EQ(up.status, 0) << up.err;
  EXPECT_EQ(up.out, "");
  EXPECT_EQ(compat(), "1.1");
  const auto info = cli({"info", "--json", path_}).json();
  EXPECT_EQ(info.at("features").at("compatible").dump(), R"(["lazy refcounts"])");
  EXPECT_NE(cli({"info", path_}).out.find("\ncompatible:       lazy refcounts\n"),
            std::string::npos);
  const auto down = cli({"amend", "--json", "-o", "compat=0.10", path_});
  EXPECT_EQ(down.status, 0) << down.err;
  EXPECT_EQ(down.json().at("file"), path_);
  EXPECT_EQ(compat(), "0.10");
}

TEST_F(AmendCommand, RefusesInOneLineAndChangesNothing) {
  const std::string before = test::read_file(path_);
  const auto width = cli({"amend", "-o", "refcount_bits=8", path_});
  EXPECT_EQ(width.status, 1);
  EXPECT_EQ(width.err, "platter: " + path_ +
                           ": refcount_bits=8: its refcounts have 16 bits and keep them; convert "
                           "makes an image with others\n");
  const auto unknown = cli({"amend", "-o", "cluster_size=4k", path_});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("cannot amend \"cluster_size\"; it can compat, lazy_refcounts, "
                             "refcount_bits"),
            std::string::npos)
      << unknown.err;
  EXPECT_EQ(test::read_file(path_), before);
}

TEST_F(AmendCommand, IsForFormatsThatHaveSomethingToAmend) {
  ASSERT_EQ(cli({"create", "-q", "-f", "vdi", dir_ / "a.vdi", "1M"}).status, 0);
  const auto said = cli({"amend", "-o", "compat=1.1", dir_ / "a.vdi"});
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.err.find("vdi images have nothing that can be amended"), std::string::npos);
}

TEST_F(AmendCommand, WithoutAnOptionIsWrongUsage) { EXPECT_EQ(cli({"amend", path_}).status, 2); }

}  // namespace
}  // namespace platter
