// Tables made by others: the corpus, and sfdisk where it is installed.
#include "lib/partition/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lib/container/container.h"
#include "tests/support/corpus.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using testing::HasSubstr;

Result<PartitionTable> read_file(const std::string& path) {
  const auto container = TRY(Container::open(path, {.format = "raw"}));
  return read_partitions(*container->live());
}

TEST(Corpus, AGptThatLostItsDiskKeepsNoPartition) {
  const auto path = test::corpus_file("raw/radareorg__gpt.img");
  if (!path) GTEST_SKIP() << "no corpus";
  const auto table = read_file(*path);
  ASSERT_TRUE(table) << table.error().message();
  EXPECT_EQ(table->scheme, PartitionTable::Scheme::gpt);
  EXPECT_TRUE(table->partitions.empty());
  EXPECT_THAT(table->warnings, testing::Contains(HasSubstr("begins past the end")));
}

TEST(Corpus, AnMbrAloneIsNoDiskOfPartitions) {
  const auto path = test::corpus_file("raw/qemu__grub_mbr.raw");
  if (!path) GTEST_SKIP() << "no corpus";
  const auto table = read_file(*path);
  ASSERT_TRUE(table) << table.error().message();
  EXPECT_EQ(table->scheme, PartitionTable::Scheme::none);
  EXPECT_TRUE(table->partitions.empty());
}

// Writes a table with sfdisk's own script language, and compares what it then says with ours.
class Sfdisk : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v sfdisk >/dev/null") != 0) GTEST_SKIP() << "sfdisk is not installed";
    test::write_file(image_, "");
    std::filesystem::resize_file(image_, 64 * MiB);
  }

  void write_table(const std::string& script) {
    test::write_file(dir_ / "script", script);
    ASSERT_EQ(std::system(("sfdisk -q " + image_ + " < " + (dir_ / "script")).c_str()), 0);
  }

  void expect_same() {
    const std::string told = dir_ / "json";
    ASSERT_EQ(std::system(("sfdisk --json " + image_ + " > " + told).c_str()), 0);
    const auto theirs = nlohmann::json::parse(test::read_file(told)).at("partitiontable");
    const auto ours = read_file(image_);
    ASSERT_TRUE(ours) << ours.error().message();
    std::vector<std::string> expected, found;
    for (const auto& p : theirs.at("partitions")) {
      const std::string type = p.at("type");
      if (type == "5" || type == "f" || type == "85") continue;
      expected.push_back(p.at("node").get<std::string>().substr(image_.size()) + " " +
                         std::to_string(p.at("start").get<uint64_t>()) + "+" +
                         std::to_string(p.at("size").get<uint64_t>()) + " " + p.value("name", ""));
    }
    for (const Partition& p : ours->partitions) {
      found.push_back(std::to_string(p.number) + " " + std::to_string(p.range.offset / 512) + "+" +
                      std::to_string(p.range.length / 512) + " " + p.name);
    }
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(found, expected);
    EXPECT_TRUE(ours->warnings.empty());
  }

  test::TempDir dir_;
  std::string image_ = dir_ / "disk";
};

TEST_F(Sfdisk, AgreesOnAnMbrWithLogicalPartitions) {
  write_table(
      "label: dos\nsize=8MiB, type=83\nsize=40MiB, type=5\nsize=4MiB, type=7\n"
      "size=5MiB, type=83\nsize=6MiB, type=82\nsize=7MiB, type=83\n");
  expect_same();
}

TEST_F(Sfdisk, AgreesOnAGpt) {
  write_table("label: gpt\nsize=8MiB, name=\"first one\"\nsize=9MiB, name=\"Größe\"\n");
  expect_same();
}

}  // namespace
}  // namespace platter
