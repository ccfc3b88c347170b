#include <gtest/gtest.h>

#include "lib/base/range.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Said;
using test::TempDir;

TEST(InfoCommand, DescribesARawDiskAndSaysThatItIsAGuess) {
  const TempDir dir;
  test::write_file(dir / "a.img", std::string(MiB, 'x'));
  const Said said = cli({"info", dir / "a.img"});
  EXPECT_EQ(said.status, 0);
  EXPECT_NE(said.out.find("file:             " + (dir / "a.img") + "\n"), std::string::npos);
  EXPECT_NE(said.out.find("virtual size:     1 MiB (1048576 bytes)\n"), std::string::npos);
  EXPECT_NE(said.out.find("a guess"), std::string::npos);
  EXPECT_EQ(cli({"info", "-f", "raw", dir / "a.img"}).out.find("a guess"), std::string::npos);
}

TEST(InfoCommand, ListsPartitions) {
  const TempDir dir;
  std::string disk(2 * MiB, '\0');
  const std::string entry{"\0\0\0\0\x83\0\0\0\x01\0\0\0\0\x08\0\0", 16};
  disk.replace(446, entry.size(), entry);
  disk.replace(510, 2, "\x55\xaa");
  test::write_file(dir / "a.img", disk);
  const Said said = cli({"info", dir / "a.img"});
  EXPECT_NE(said.out.find("partitions (mbr):\n  NUMBER  START  SIZE   TYPE  NAME\n"
                          "  1       512    1 MiB  0x83\n"),
            std::string::npos)
      << said.out;
}

TEST(InfoCommand, ListsFeaturesAndBitmaps) {
  if (test::run({"qemu-img", "--version"}).status != 0) GTEST_SKIP() << "there is no qemu-img";
  const TempDir dir;
  const std::string path = dir / "a.qcow2";
  ASSERT_EQ(test::run({"qemu-img", "create", "-f", "qcow2", path, "10M"}).status, 0);
  ASSERT_EQ(test::run({"qemu-img", "bitmap", "--add", path, "since monday"}).status, 0);
  const Said said = cli({"info", path});
  EXPECT_NE(said.out.find("\nautoclear:        bitmaps\n"), std::string::npos) << said.out;
  EXPECT_NE(said.out.find("bitmaps:\n  NAME          GRANULARITY  FLAGS\n"
                          "  since monday  64 KiB       auto\n"),
            std::string::npos)
      << said.out;
  const auto info = cli({"info", "--json", path}).json();
  EXPECT_EQ(info.at("bitmaps").dump(),
            R"([{"flags":["auto"],"granularity":65536,"name":"since monday"}])");
  EXPECT_EQ(info.at("features").dump(),
            R"({"autoclear":["bitmaps"],"compatible":[],"incompatible":[]})");
}

TEST(InfoCommand, TellsTheIdsOfAnImageAndOfTheParentItWasMadeFor) {
  const TempDir dir;
  const std::string base = dir / "base.vdi", child = dir / "child.vdi";
  ASSERT_EQ(cli({"create", "-q", "-f", "vdi", base, "1M"}).status, 0);
  ASSERT_EQ(cli({"create", "-q", "-f", "vdi", "--parent", base, child}).status, 0);
  const auto of_base = cli({"info", "--json", base}).json();
  const auto of_child = cli({"info", "--json", child}).json();
  EXPECT_TRUE(of_base.at("parent_modification_uuid").is_null());
  EXPECT_EQ(of_child.at("parent_modification_uuid"), of_base.at("modification_uuid"));
  const std::string said = cli({"info", child}).out;
  for (const char* key : {"uuid", "modification_uuid", "parent_uuid", "parent_modification_uuid"}) {
    EXPECT_NE(said.find(of_child.at(key).get<std::string>()), std::string::npos) << key;
  }
}

class InfoOfAChain : public testing::Test {
 protected:
  void SetUp() override {
    if (test::run({"qemu-img", "--version"}).status != 0) GTEST_SKIP() << "there is no qemu-img";
    ASSERT_EQ(test::run({"qemu-img", "create", "-f", "qcow2", dir_ / "base.qcow2", "10M"}).status,
              0);
    ASSERT_EQ(test::run({"qemu-img", "create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2",
                         dir_ / "top.qcow2"})
                  .status,
              0);
    ASSERT_EQ(test::run({"qemu-img", "snapshot", "-c", "before", dir_ / "top.qcow2"}).status, 0);
  }
  const TempDir dir_;
};

TEST_F(InfoOfAChain, OpensNoParentUnlessAsked) {
  ASSERT_EQ(std::remove((dir_ / "base.qcow2").c_str()), 0);
  const auto info = cli({"info", "--json", dir_ / "top.qcow2"}).json();
  ASSERT_TRUE(info.is_object());
  EXPECT_EQ(info.at("parent"), "base.qcow2");
  EXPECT_EQ(info.at("parent_format"), "qcow2");
  EXPECT_FALSE(info.contains("partitions"));
  const Said chain = cli({"info", "--json", "--chain", dir_ / "top.qcow2"});
  EXPECT_EQ(chain.status, 1);
  EXPECT_EQ(chain.err,
            "platter: " + (dir_ / "top.qcow2") + ": its parent \"base.qcow2\" is missing\n");
}

TEST_F(InfoOfAChain, ListsTheWholeChainAndTheSnapshots) {
  const auto info = cli({"info", "--json", "--chain", dir_ / "top.qcow2"}).json();
  ASSERT_EQ(info.at("chain").size(), 2U);
  EXPECT_EQ(info.at("snapshots").at(0).at("name"), "before");
  const Said text = cli({"info", "--chain", dir_ / "top.qcow2"});
  EXPECT_NE(text.out.find("chain:\n"), std::string::npos);
  EXPECT_NE(text.out.find("snapshots:\n"), std::string::npos);
  EXPECT_NE(text.out.find(" before "), std::string::npos);
}

TEST_F(InfoOfAChain, RefusesTheParentWithoutReferences) {
  const Said said = cli({"info", "--chain", "--references=none", dir_ / "top.qcow2"});
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.err.find("base.qcow2"), std::string::npos);
  EXPECT_NE(said.err.find("references="), std::string::npos);
}

TEST_F(InfoOfAChain, IsCopiedWithItsSnapshotWhenThatIsWanted) {
  EXPECT_EQ(cli({"convert", "--snapshot", "before", dir_ / "top.qcow2", dir_ / "old.raw"}).status,
            0);
  const Said missing =
      cli({"convert", "--snapshot", "after", dir_ / "top.qcow2", dir_ / "new.raw"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("after"), std::string::npos);
}

}  // namespace
}  // namespace platter
