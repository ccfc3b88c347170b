#include "formats/vhd/compact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vhd/vhd_disk.h"

namespace platter::vhd {
namespace {

using test::VhdBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

Result<void> compact_vhd(const FilePtr& file) {
  Epochs epochs;
  NoProgress nobody;
  const auto image = TRY(test::open_writable_vhd(file, epochs, true));
  return image->compact(nobody);
}

void clear_block(const VhdBuilder& b, File& file, size_t number) {
  const uint64_t at = b.sector_of(number) * uint64_t{512} + b.bitmap();
  ASSERT_TRUE(file.write(at, std::vector<std::byte>(b.block_size)));
}

// The footer stands behind the block of this number.
void expect_ends_with_block(const VhdBuilder& b, const File& file, size_t number) {
  const uint64_t end = b.data_at() + (number + 1) * b.stride();
  EXPECT_EQ(file.stat()->size, end + 512);
  EXPECT_EQ(test::vhd_word(file, end), 0x636f6e65u);
}

TEST(VhdCompact, LeavesTheBlocksThatHoldSomething) {
  VhdBuilder b{.blocks = {{.first = 10}, {.first = 20}, {.first = 30}, {.first = 40}}};
  b.point({3, -1, 0, 2});  // 1 leaked
  const auto file = b.file();
  clear_block(b, *file, 0);
  const auto before = test::sectors_of_vhd(file);
  ASSERT_TRUE(compact_vhd(file));
  EXPECT_EQ(test::sectors_of_vhd(file), before);
  EXPECT_EQ(test::vhd_word(*file, 1536), b.sector_of(0));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 8), VhdBuilder::kUnused);
  EXPECT_EQ(test::vhd_word(*file, 1536 + 12), b.sector_of(1));
  expect_ends_with_block(b, *file, 1);
  EXPECT_TRUE(test::check_vhd(file).messages.empty());
}

TEST(VhdCompact, OfAChildKeepsZeroesThatHideTheParent) {
  VhdBuilder b{.type = 4, .blocks = {{.first = 10}, {.bits = {0}, .first = 20}, {.first = 30}}};
  b.point({0, 1, 2});
  b.parent_name = "parent.vhd";
  const auto file = b.file();
  clear_block(b, *file, 0);
  ASSERT_TRUE(compact_vhd(file));
  // The second block has nothing of its own.
  EXPECT_EQ(test::vhd_word(*file, 1536), b.sector_of(0));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 4), VhdBuilder::kUnused);
  EXPECT_EQ(test::vhd_word(*file, 1536 + 8), b.sector_of(1));
  expect_ends_with_block(b, *file, 1);
}

// To programs that go by another of its sizes the disk is larger.
TEST(VhdCompact, KeepsBlocksBehindTheDisk) {
  VhdBuilder b{.disk_size = 4096, .blocks = {{.first = 10}, {.first = 20}, {.first = 30}}};
  b.point({0, 2});
  const auto file = b.file();
  clear_block(b, *file, 2);
  ASSERT_TRUE(compact_vhd(file));
  EXPECT_EQ(test::vhd_word(*file, 1536 + 4), b.sector_of(1));
  expect_ends_with_block(b, *file, 1);
}

void expect_refused_vhd(const VhdBuilder& b, Errc code, const std::string& why) {
  const auto file = b.file();
  const auto before = test::bytes_of_vhd(*file);
  const auto done = compact_vhd(file);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), code);
  EXPECT_THAT(done.error().message(), HasSubstr(why));
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
}

TEST(VhdCompact, RefusesWhatHasNothingToGiveBack) {
  expect_refused_vhd({.type = 2, .disk_size = 1024, .fixed = {1, 2}}, Errc::unsupported,
                     "a fixed VHD keeps a place for every byte");
}

TEST(VhdCompactAttack, RefusesATableThatIsNotSound) {
  VhdBuilder b{.blocks = {{.first = 10}, {.first = 20}}};
  b.point({0, 0, 1});
  expect_refused_vhd(b, Errc::corrupt, "repair it");
  b.point({0, 1});
  b.table[1] = 0x7fffffff;
  expect_refused_vhd(b, Errc::corrupt, "repair it");
  b.point({0, 1});
  b.words32[512 + 36] = 0;
  expect_refused_vhd(b, Errc::read_only, "checksums are wrong");
}

}  // namespace
}  // namespace platter::vhd
