#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Said;
using test::TempDir;

class SnapshotCommand : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(cli({"create", "-f", "qcow2", image_, "10M"}).status, 0); }
  const TempDir dir_;
  const std::string image_ = dir_ / "disk.qcow2";
};

TEST_F(SnapshotCommand, CreatesWhatListThenNames) {
  EXPECT_EQ(cli({"snapshot", "list", image_}).out, "");
  EXPECT_EQ(cli({"snapshot", "list", "--json", image_}).json(), nlohmann::json::array());
  const Said made = cli({"snapshot", "create", image_, "before"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.out, image_ + ": snapshot 1, \"before\" taken\n");
  const auto second = cli({"snapshot", "create", "--json", image_, "after"}).json();
  EXPECT_EQ(second, (nlohmann::json{{"file", image_}, {"id", "2"}, {"name", "after"}}));
  const auto list = cli({"snapshot", "list", "--json", image_}).json();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list.at(0).at("name"), "before");
  EXPECT_EQ(list.at(0).at("size"), 10 * MiB);
  EXPECT_EQ(list.at(1).at("id"), "2");
  const std::string text = cli({"snapshot", "list", image_}).out;
  EXPECT_NE(text.find("before"), std::string::npos);
  EXPECT_EQ(cli({"snapshot", "create", "-q", image_, "quiet"}).out, "");
}

TEST_F(SnapshotCommand, RenamesAndDeletesByName) {
  ASSERT_EQ(cli({"snapshot", "create", image_, "a"}).status, 0);
  ASSERT_EQ(cli({"snapshot", "create", image_, "1"}).status, 0);
  EXPECT_EQ(cli({"snapshot", "rename", image_, "a", "b c"}).out,
            image_ + ": snapshot 1, \"b c\" renamed\n");
  EXPECT_EQ(cli({"snapshot", "rename", image_, "1", "b c"}).err,
            "platter: " + image_ + ": there is a snapshot \"b c\" already\n");
  // The one of that name, not the one of that id.
  EXPECT_EQ(cli({"snapshot", "delete", image_, "1"}).out, image_ + ": snapshot 2, \"1\" deleted\n");
  const auto list = cli({"snapshot", "list", "--json", image_}).json();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list.at(0).at("name"), "b c");
  const Said gone = cli({"snapshot", "delete", image_, "1"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_EQ(gone.err, "platter: " + image_ + ": there is no snapshot \"1\"\n");
  EXPECT_EQ(cli({"snapshot", "delete", "--json", image_, "id:1"}).json().at("name"), "b c");
  EXPECT_EQ(cli({"check", image_}).status, 0);
}

TEST_F(SnapshotCommand, GoesBackToWhatTheDiskWas) {
  const std::string raw = dir_ / "raw", other = dir_ / "other";
  test::write_file(raw, std::string(3 * MiB, 'x'));
  ASSERT_EQ(cli({"convert", "-f", "raw", raw, "-O", "qcow2", dir_ / "full.qcow2"}).status, 0);
  const std::string image = dir_ / "full.qcow2";
  ASSERT_EQ(cli({"snapshot", "create", image, "2"}).status, 0);
  ASSERT_EQ(cli({"resize", image, "8M"}).status, 0);
  ASSERT_EQ(cli({"snapshot", "create", image, "larger"}).status, 0);
  // An id first.
  EXPECT_EQ(cli({"snapshot", "apply", image, "1"}).out,
            image + ": snapshot 1, \"2\" is the disk now\n");
  EXPECT_EQ(cli({"compare", "-f", "raw", raw, image}).status, 0);
  EXPECT_EQ(cli({"info", "--json", image}).json().at("virtual_size"), 3 * MiB);
  EXPECT_EQ(cli({"snapshot", "apply", image, "2"}).out,
            image + ": snapshot 2, \"larger\" is the disk now\n");
  EXPECT_EQ(cli({"info", "--json", image}).json().at("virtual_size"), 8 * MiB);
  EXPECT_EQ(cli({"snapshot", "apply", image, "name:2"}).status, 0);
  EXPECT_EQ(cli({"compare", "-f", "raw", raw, image}).status, 0);
  EXPECT_EQ(cli({"check", image}).status, 0);
}

TEST_F(SnapshotCommand, RefusesANameThatIsTakenAndChangesNothing) {
  ASSERT_EQ(cli({"snapshot", "create", image_, "a"}).status, 0);
  const Said again = cli({"snapshot", "create", image_, "a"});
  EXPECT_EQ(again.status, 1);
  EXPECT_EQ(again.err, "platter: " + image_ + ": there is a snapshot \"a\" already\n");
  EXPECT_EQ(cli({"snapshot", "list", "--json", image_}).json().size(), 1U);
}

TEST_F(SnapshotCommand, SaysWhichFormatsHaveNone) {
  const std::string vdi = dir_ / "disk.vdi";
  ASSERT_EQ(cli({"create", "-f", "vdi", vdi, "10M"}).status, 0);
  const std::string before = test::read_file(vdi);
  const Said said = cli({"snapshot", "create", vdi, "a"});
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.err, "platter: " + vdi + ": vdi: has no snapshots inside the image\n");
  EXPECT_EQ(test::read_file(vdi), before);
}

TEST_F(SnapshotCommand, KnowsWrongUsage) {
  EXPECT_EQ(cli({"snapshot", "create", image_}).status, 2);
  EXPECT_EQ(cli({"snapshot", "list", image_, "name"}).status, 2);
  EXPECT_EQ(cli({"snapshot", "shake", image_, "name"}).status, 2);
  EXPECT_EQ(cli({"snapshot", "create", image_, ""}).status, 2);
  EXPECT_EQ(cli({"snapshot", "create", image_, "a", "b"}).status, 2);
  EXPECT_EQ(cli({"snapshot", "rename", image_, "a"}).status, 2);
  EXPECT_EQ(cli({"snapshot", "delete", "--live", image_, "a"}).status, 2);
  EXPECT_EQ(cli({"snapshot", "list", dir_ / "none"}).status, 1);
}

}  // namespace
}  // namespace platter
