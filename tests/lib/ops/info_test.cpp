#include "lib/ops/info.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/ops/create.h"
#include "tests/lib/ops/each_format.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using nlohmann::json;
using test::Creatable;
using test::TempDir;

class Info : public testing::TestWithParam<Creatable> {
 protected:
  const TempDir dir_;
  const std::string path_ = dir_ / "disk";
};

TEST_P(Info, HasEveryKeyOfTheContract) {
  ASSERT_TRUE(create_image({.path = path_,
                            .format = *GetParam().format,
                            .size = 2 * MiB,
                            .options = GetParam().options(),
                            .keys = test::test_keys()}));
  const auto container = Container::open(
      path_, {.format = std::string(GetParam().format->name()), .keys = test::test_keys()});
  ASSERT_TRUE(container);
  const auto info = describe({.container = **container, .chain = true, .partitions = true});
  ASSERT_TRUE(info) << info.error().message();
  for (const char* key :
       {"file", "format", "variant", "virtual_size", "allocated_size", "block_size", "uuid",
        "parent", "parent_uuid", "snapshots", "encrypted", "dirty", "corrupt", "comment",
        "geometry", "chain", "partition_table", "partitions"}) {
    EXPECT_TRUE(info->contains(key)) << key;
  }
  EXPECT_EQ(info->at("format"), GetParam().format->name());
  EXPECT_EQ(info->at("variant"), GetParam().variant);
  EXPECT_EQ(info->at("virtual_size"), 2 * MiB);
  EXPECT_EQ(info->at("chain").size(), 1U);
  EXPECT_EQ(info->at("chain").at(0).at("file"), path_);
  EXPECT_TRUE(info->at("partitions").empty());
}

INSTANTIATE_TEST_SUITE_P(EachVariant, Info, testing::ValuesIn(test::everything_creatable()),
                         test::name_of);

// A master boot record with one partition: type 0x83, 2048 sectors from sector 1.
std::string disk_with_a_partition() {
  std::string disk(2 * MiB, '\0');
  const std::string entry{"\0\0\0\0\x83\0\0\0\x01\0\0\0\0\x08\0\0", 16};
  disk.replace(446, entry.size(), entry);
  disk.replace(510, 2, "\x55\xaa");
  return disk;
}

TEST(InfoOfADisk, ListsItsPartitions) {
  const TempDir dir;
  test::write_file(dir / "disk", disk_with_a_partition());
  const auto container = Container::open(dir / "disk");
  ASSERT_TRUE(container);
  const auto info = describe({.container = **container, .partitions = true});
  ASSERT_TRUE(info);
  EXPECT_EQ(info->at("partition_table"), "mbr");
  const json wanted = {{"number", 1},    {"start", 512}, {"length", MiB},
                       {"type", "0x83"}, {"name", ""},   {"uuid", nullptr}};
  ASSERT_EQ(info->at("partitions").size(), 1U);
  EXPECT_EQ(info->at("partitions").at(0), wanted);
}

TEST(InfoOfADisk, SaysNothingOfPartitionsUnlessAsked) {
  const TempDir dir;
  test::write_file(dir / "disk", disk_with_a_partition());
  const auto container = Container::open(dir / "disk", {.parents = false});
  ASSERT_TRUE(container);
  const auto info = describe({.container = **container});
  ASSERT_TRUE(info);
  EXPECT_FALSE(info->contains("partitions"));
  EXPECT_FALSE(info->contains("chain"));
}

TEST(InfoOfADisk, EscapesANameThatWouldSteerATerminal) {
  const TempDir dir;
  const std::string path = dir / "a\x1b[2Jb";
  test::write_file(path, disk_with_a_partition());
  const auto container = Container::open(path);
  ASSERT_TRUE(container);
  const auto info = describe({.container = **container});
  ASSERT_TRUE(info);
  EXPECT_EQ(info->at("file"), dir / "a\\x1b[2Jb");
}

}  // namespace
}  // namespace platter
