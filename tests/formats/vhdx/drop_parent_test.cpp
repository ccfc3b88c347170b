#include "formats/vhdx/drop_parent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhdx/layout.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;
using testing::IsEmpty;

constexpr uint64_t kChunkRatio = 4096;  // of blocks of 1 MiB with sectors of 512 bytes

// Partial blocks of which the first sector is their own, and more is in the file.
VhdxBuilder child_with(const std::vector<uint64_t>& partial) {
  VhdxBuilder builder{.parameters = 2};
  builder.locator = {{"parent_linkage", "{aaaaaaaa-0000-4000-8000-000000000001}"},
                     {"relative_path", ".\\base.vhdx"}};
  builder.regions = {{VhdxBuilder::kMetadataGuid, VhdxBuilder::kMetadata, 1 << 20},
                     {VhdxBuilder::kBatGuid, VhdxBuilder::kBat, 8 << 20}};
  builder.disk_size = (partial.back() + 2) * MiB;
  uint64_t place = VhdxBuilder::kBat + 8 * MiB;
  for (const uint64_t block : partial) {
    const uint64_t chunk = block / kChunkRatio;
    const uint64_t bitmap = chunk * (kChunkRatio + 1) + kChunkRatio;
    if (!builder.bat.contains(bitmap)) {
      builder.bat[bitmap] = place | 6;
      place += MiB;
    }
    const uint64_t bits = builder.bat[bitmap] - 6 + block % kChunkRatio * 256;
    builder.bytes[bits] = std::vector<std::byte>(256);
    builder.bytes[bits][0] = std::byte{1};
    builder.bat[block + chunk] = place | 7;
    builder.data.push_back({place, 4096, 0x70});
    place += MiB;
  }
  builder.file_size = place;
  return builder;
}

Result<void> drop(const FilePtr& file) {
  Epochs epochs;
  const ImagePtr image = TRY(test::open_writable_vhdx(file, epochs, true));
  return image->drop_parent();
}

void expect_alone(const FilePtr& file, const std::vector<uint64_t>& blocks) {
  const auto image = test::open_vhdx(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_FALSE((*image)->info().parent);
  EXPECT_THAT((*image)->info().warnings, IsEmpty());
  BlockCache cache{64 * KiB};
  const View view({{image->get(), 0}}, cache);
  for (const uint64_t block : blocks) {
    std::vector<std::byte> bytes(4096);
    ASSERT_TRUE(view.read(block * MiB, bytes));
    EXPECT_EQ(bytes[0], std::byte{0x70}) << block;
    EXPECT_EQ(bytes[512], std::byte{0}) << block;
    EXPECT_EQ(bytes[4095], std::byte{0}) << block;
  }
}

TEST(VhdxDropParent, MakesPartialBlocksWhole) {
  const std::vector<uint64_t> blocks = {0, 2};
  const auto file = child_with(blocks).file();
  ASSERT_TRUE(drop(file));
  expect_alone(file, blocks);
  EXPECT_EQ(test::vhdx_checked(file).corruptions, 0u);
  EXPECT_EQ(drop(file).error().code(), Errc::unsupported);
}

// Their entries are in more pages than the log has room for.
TEST(VhdxDropParent, ChangesALongTableInSteps) {
  std::vector<uint64_t> blocks;
  for (uint64_t i = 0; i < 300; ++i) blocks.push_back(i * 512);
  const auto file = child_with(blocks).file();
  ASSERT_TRUE(drop(file));
  expect_alone(file, blocks);
  EXPECT_EQ(test::vhdx_checked(file).corruptions, 0u);
}

TEST(VhdxDropParent, RefusesABlockWithoutItsBitmap) {
  VhdxBuilder builder = child_with({0});
  builder.bat.erase(kChunkRatio);
  const auto file = builder.file();
  EXPECT_EQ(drop(file).error().code(), Errc::corrupt);
  EXPECT_EQ(test::vhdx_entry(*file, 0) & 7, 7u);
}

}  // namespace
}  // namespace platter::vhdx
