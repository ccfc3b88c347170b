#include "formats/vdi/compact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vdi/vdi_disk.h"
#include "tests/formats/vdi/vdi_names.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kData = 1024, kBlockBytes = 4096;

Result<void> compact_vdi(const FilePtr& file) {
  Epochs epochs;
  NoProgress nobody;
  const auto image = TRY(test::open_writable_vdi(file, epochs, true));
  return image->compact(nobody);
}

void clear(File& file, uint64_t number) {
  ASSERT_TRUE(file.write(kData + number * kBlockBytes, std::vector<std::byte>(kBlockBytes)));
}

std::vector<uint32_t> entries_of(const File& file, size_t count) {
  std::vector<uint32_t> entries;
  for (size_t i = 0; i < count; ++i) entries.push_back(test::word_of(file, kMap + 4 * i));
  return entries;
}

// What leaked lies at 2, what is zero at 0.
TEST(VdiCompact, LeavesTheBlocksThatHoldSomethingInTheOrderOfTheDisk) {
  const auto file = VdiBuilder{.map = {5, 4, kF, 0, kZ, 1, 3}, .data = {9, 8, 7, 6, 5, 4}}.file();
  clear(*file, 0);
  const auto before = test::disk_of(file);
  ASSERT_TRUE(compact_vdi(file));
  EXPECT_EQ(test::disk_of(file), before);
  EXPECT_THAT(entries_of(*file, 7), ElementsAre(0, 2, kF, kZ, kZ, 1, 3));
  EXPECT_EQ(test::word_of(*file, kCount), 4u);
  EXPECT_EQ(file->stat()->size, kData + 4 * kBlockBytes);
  EXPECT_EQ(test::checked(file).corruptions + test::checked(file).leaks, 0u);
}

TEST(VdiCompact, KeepsTheIdsByWhichChildrenKnowIt) {
  const auto file = VdiBuilder{.map = {0, 1}, .data = {9, 8}}.file();
  clear(*file, 0);
  const auto ids = [&] {
    const auto bytes = test::bytes_of_file(*file);
    return std::vector(bytes.begin() + kModification - 16, bytes.begin() + kModification + 48);
  };
  const auto before = ids();
  ASSERT_TRUE(compact_vdi(file));
  EXPECT_EQ(test::word_of(*file, kCount), 1u);
  EXPECT_EQ(ids(), before);
}

TEST(VdiCompact, HidesTheParentWhereAChildIsZero) {
  const VdiBuilder parent{.map = {0, 1}, .data = {1, 2}};
  const auto file = VdiBuilder{
      .type = 4,
      .map = {0, kF},
      .parent_uuid = parent.uuid,
      .parent_modification_uuid = parent.modification_uuid,
      .data = {9}}.file();
  clear(*file, 0);
  ASSERT_TRUE(compact_vdi(file));
  EXPECT_THAT(entries_of(*file, 2), ElementsAre(kZ, kF));
  EXPECT_EQ(file->stat()->size, kData);
}

// Programs that append by the header's count must never come upon a block.
TEST(VdiCompact, MendsACountThatIsTooSmall) {
  const auto file = VdiBuilder{.map = {2, 1, kF}, .blocks_allocated = 1, .data = {9, 8, 7}}.file();
  ASSERT_TRUE(compact_vdi(file));
  EXPECT_THAT(entries_of(*file, 3), ElementsAre(0, 1, kF));
  EXPECT_EQ(test::word_of(*file, kCount), 2u);
}

// As a resize leaves it that was cut short.
TEST(VdiCompact, BringsBlocksBelowTheCount) {
  const auto file = VdiBuilder{.map = {3, kF}, .blocks_allocated = 0, .data = {9, 8, 7, 6}}.file();
  const auto before = test::disk_of(file);
  ASSERT_TRUE(compact_vdi(file));
  EXPECT_THAT(entries_of(*file, 2), ElementsAre(0, kF));
  EXPECT_EQ(test::disk_of(file), before);
  EXPECT_EQ(file->stat()->size, kData + kBlockBytes);
}

TEST(VdiCompact, LooksOnlyAtWhatTheDiskHasOfItsLastBlock) {
  const auto file =
      VdiBuilder{.map = {0, 1}, .disk_size = kBlockBytes + 512, .data = {9, 0}}.file();
  ASSERT_TRUE(compact_vdi(file));
  EXPECT_THAT(entries_of(*file, 2), ElementsAre(0, kZ));
}

// Nothing of a file changes that is refused.
void expect_refused(const VdiBuilder& builder, Errc code, const std::string& why) {
  const auto file = builder.file();
  const auto before = test::bytes_of_file(*file);
  const auto done = compact_vdi(file);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), code);
  EXPECT_THAT(done.error().message(), HasSubstr(why));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiCompact, RefusesWhatHasNothingToGiveBack) {
  expect_refused({.type = 2, .map = {0, 1}, .data = {9, 8}}, Errc::unsupported,
                 "a static VDI keeps a place for every block");
  expect_refused({.version = 2, .map = {0, 1}, .data = {9, 8}}, Errc::unsupported, "version 0.x");
}

TEST(VdiCompactAttack, RefusesAMapThatIsNotSound) {
  expect_refused({.map = {1, 1, 0}, .data = {9, 8}}, Errc::corrupt, "repair it");
  expect_refused({.map = {0, 70}, .data = {9, 8}}, Errc::corrupt, "repair it");
  expect_refused({.map = {0, 1}, .data = {9, 8}, .file_size = kData + kBlockBytes}, Errc::corrupt,
                 "truncated");
}

}  // namespace
}  // namespace platter::vdi
