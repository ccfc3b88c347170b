// Headers: what is taken, what is refused and how it is said. Limits are those of the structures
// themselves, and of the file that holds them.
#include "formats/vdi/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/formats/vdi/vdi_names.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

VdiBuilder good() { return {.map = {kF, 0, kF, 1}, .data = {0x10, 0x20}}; }

// The message of the refusal; "" when it was taken.
std::string refusal(const VdiBuilder& builder, Errc expected = Errc::corrupt) {
  const auto image = test::open_vdi(builder.file());
  if (image) return {};
  EXPECT_EQ(image.error().code(), expected);
  return image.error().message();
}

TEST(VdiHeader, IsTakenWhenItIsRight) {
  auto builder = good();
  builder.comment = "hello";
  builder.lchs[0] = 2;
  builder.lchs[1] = 16;
  builder.lchs[2] = 63;
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ((*image)->size(), 4u * 4096);
  EXPECT_EQ(info.format, "vdi");
  EXPECT_EQ(info.variant, "dynamic");
  EXPECT_EQ(info.block_size, 4096u);
  EXPECT_EQ(info.comment, "hello");
  EXPECT_EQ(info.uuid->to_string(), "11111111-2222-4333-8444-555555555555");
  EXPECT_EQ(info.modification_uuid->to_string(), "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
  EXPECT_FALSE(info.parent);
  ASSERT_TRUE(info.lchs);
  EXPECT_EQ(info.lchs->cylinders, 2u);
  EXPECT_EQ(info.lchs->heads, 16u);
  EXPECT_EQ(info.lchs->sectors, 63u);
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(info.details, ElementsAre(Detail{"version", "1.1"}, Detail{"blocks", uint64_t{4}},
                                        Detail{"blocks_allocated", uint64_t{2}},
                                        Detail{"map_offset", uint64_t{512}},
                                        Detail{"data_offset", uint64_t{1024}}));
}

TEST(VdiHeader, NamesItsVariantAndItsParent) {
  const char* const names[] = {"dynamic", "static", "undo", "differencing"};
  for (uint32_t type = 1; type <= 4; ++type) {
    auto builder = good();
    builder.type = type;
    if (type >= 3) {
      builder.parent_uuid = *Uuid::parse("01234567-89ab-4def-8123-456789abcdef");
      builder.parent_modification_uuid = *Uuid::parse("fedcba98-7654-4210-8edc-ba9876543210");
    }
    const auto image = test::open_vdi(builder.file());
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ((*image)->info().variant, names[type - 1]);
    ASSERT_EQ((*image)->info().parent.has_value(), type >= 3);
    if (type < 3) continue;
    EXPECT_EQ((*image)->info().parent->uuid, builder.parent_uuid);
    EXPECT_EQ((*image)->info().parent->modification_uuid, builder.parent_modification_uuid);
    EXPECT_EQ((*image)->info().parent->reference, "");
  }
}

TEST(VdiHeader, OfTheShortFormHasNoGeometry) {
  auto builder = good();
  builder.header_size = 384;
  // Where the geometry of the long form would be.
  builder.words32[456] = 99;
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_FALSE((*image)->info().lchs);
}

TEST(VdiHeader, OfVersion10KnowsNoGeometry) {
  auto builder = good();
  builder.version = 0x00010000;
  builder.lchs[0] = 7;
  builder.lchs[3] = 0;
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_FALSE((*image)->info().lchs);
  EXPECT_EQ((*image)->info().details.front(), (Detail{"version", "1.0"}));
}

TEST(VdiHeader, OfVersion02IsRead) {
  auto builder = good();
  builder.version = 0x00000002;
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->info().uuid, builder.uuid);
  const auto extent = (*image)->map({3 * 4096, 1});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->host, 420u + 16 + 4096);
}

TEST(VdiHeader, RoundsADiskUpToWholeSectors) {
  auto builder = good();
  builder.disk_size = 4 * 4096 - 1000;
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 4u * 4096 - 512);
}

TEST(VdiHeader, MayHaveALargerMapThanTheDiskNeeds) {
  auto builder = good();
  builder.disk_size = 512;
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 512u);
}

TEST(VdiHeader, WithoutUuidsIsTakenWithAWarning) {
  auto builder = good();
  builder.uuid = builder.modification_uuid = Uuid{};
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_FALSE((*image)->info().uuid);
  EXPECT_FALSE((*image)->info().modification_uuid);
  EXPECT_THAT((*image)->info().warnings,
              ElementsAre(HasSubstr("no UUID"), HasSubstr("no modification UUID")));
}

TEST(VdiHeader, WithUnknownFlagsIsTakenWithAWarning) {
  auto builder = good();
  builder.flags = 0x101;
  EXPECT_THAT((*test::open_vdi(builder.file()))->info().warnings, IsEmpty());
  builder.flags = 0x20103;
  EXPECT_THAT((*test::open_vdi(builder.file()))->info().warnings,
              ElementsAre("header: unknown flags 0x20002"));
}

TEST(VdiHeader, TakesACommentWithoutAnEnd) {
  auto builder = good();
  builder.comment = std::string(256, 'c');
  EXPECT_EQ((*test::open_vdi(builder.file()))->info().comment, std::string(255, 'c'));
}

TEST(VdiHeader, TakesAFileWhoseLastBlockIsShort) {
  auto builder = good();
  builder.file_size = 1024 + 4096 + 1;
  EXPECT_EQ(refusal(builder), "");
}

TEST(VdiProbe, GoesByTheSignatureAlone) {
  const Format& format = *find_format("vdi");
  auto builder = good();
  builder.words32 = {{0, 0}, {68, 0x00090000}};
  auto bytes = builder.build();
  EXPECT_EQ(format.probe({.size = bytes.size(), .head = bytes}), Match::sure);
  bytes[64] ^= std::byte{1};
  EXPECT_EQ(format.probe({.size = bytes.size(), .head = bytes}), Match::no);
  EXPECT_EQ(format.probe({.size = 67, .head = Bytes(bytes).first(67)}), Match::no);
}

TEST(VdiAttack, WrongSignature) {
  auto builder = good();
  builder.signature = 0x12345678;
  EXPECT_THAT(refusal(builder, Errc::wrong_format), HasSubstr("no VDI signature"));
}

TEST(VdiAttack, UnknownVersion) {
  auto builder = good();
  builder.version = 0x00020003;
  EXPECT_EQ(refusal(builder, Errc::unsupported), "header: unsupported VDI version 2.3");
}

TEST(VdiAttack, FileCutAtEveryByteOfTheHeader) {
  for (const uint32_t version : {0x00000002u, 0x00010001u}) {
    auto builder = good();
    builder.version = version;
    for (uint64_t size = 0; size < 1024; ++size) {
      builder.file_size = size;
      EXPECT_NE(refusal(builder), "") << size;
    }
  }
}

TEST(VdiAttack, HeaderSizeBelowTheSmallest) {
  for (const uint32_t size : {0u, 4u, 383u}) {
    auto builder = good();
    builder.words32 = {{72, size}};
    EXPECT_THAT(refusal(builder), HasSubstr("at least 384 expected")) << size;
  }
}

TEST(VdiAttack, HeaderSizeNearTwoToTheThirtyTwo) {
  auto builder = good();
  builder.words32 = {{72, 0xffffffff}};
  EXPECT_THAT(refusal(builder), HasSubstr("begins inside the header of 4294967367 bytes"));
}

TEST(VdiAttack, BlockMapInsideTheHeader) {
  auto builder = good();
  for (const uint32_t offset : {0u, 72u, 456u, 471u}) {
    builder.words32 = {{340, offset}};
    EXPECT_THAT(refusal(builder), HasSubstr("begins inside the header")) << offset;
  }
  builder.words32 = {{340, 472}};
  EXPECT_EQ(refusal(builder), "");
}

TEST(VdiAttack, BlockMapPastTheEndOfTheFile) {
  auto builder = good();
  for (const uint32_t offset : {9216u - 15u, 9217u, 0xfffffff0u, 0xffffffffu}) {
    builder.words32 = {{340, offset}, {344, 0xffffffff}};
    EXPECT_THAT(refusal(builder), HasSubstr("ends past the end of the file")) << offset;
  }
}

TEST(VdiAttack, BlockCountTimesFourThatWraps) {
  // CVE-2014-0144: 0x40000001 * 4 is 4 in 32 bits.
  for (const uint32_t blocks : {0x40000001u, 0x80000000u, 0xffffffffu}) {
    auto builder = good();
    builder.blocks = blocks;
    EXPECT_THAT(refusal(builder), HasSubstr("ends past the end of the file")) << blocks;
    builder.version = 0x00000002;
    EXPECT_THAT(refusal(builder), HasSubstr("ends past the end of the file")) << blocks;
  }
}

TEST(VdiAttack, BlockMapTooSmallForTheDisk) {
  auto builder = good();
  builder.disk_size = 4 * 4096 + 1;
  EXPECT_THAT(refusal(builder), HasSubstr("the block map is too small"));
  builder.disk_size = ~uint64_t{0};
  EXPECT_THAT(refusal(builder), HasSubstr("the block map is too small"));
  builder.disk_size = 512;
  builder.blocks = 0;
  EXPECT_THAT(refusal(builder), HasSubstr("the block map is too small"));
}

TEST(VdiAttack, DiskOfZeroBytes) {
  auto builder = good();
  builder.disk_size = 0;
  EXPECT_THAT(refusal(builder), HasSubstr("a disk of 0 bytes"));
}

TEST(VdiAttack, TypeOutOfRange) {
  for (const uint32_t type : {0u, 5u, 0xffffffffu}) {
    auto builder = good();
    builder.type = type;
    EXPECT_THAT(refusal(builder), HasSubstr("image type")) << type;
  }
}

TEST(VdiAttack, BlockSizeThatIsNoPowerOfTwoOrOutOfRange) {
  for (const uint32_t size : {0u, 1u, 256u, 511u, 4095u, 0x20000000u, 0x80000000u, 0xffffffffu}) {
    auto builder = good();
    builder.words32 = {{376, size}};
    EXPECT_THAT(refusal(builder), HasSubstr("header: blocks of")) << size;
  }
}

TEST(VdiAttack, BlockExtraThatIsNoPowerOfTwo) {
  for (const uint32_t extra : {3u, 511u, 0xffffffffu}) {
    auto builder = good();
    builder.words32 = {{380, extra}};
    EXPECT_THAT(refusal(builder), HasSubstr("extra bytes in front of each block")) << extra;
  }
}

TEST(VdiAttack, BlockExtraOfTwoGibibytes) {
  auto builder = good();
  builder.words32 = {{380, 0x80000000}, {388, 0}, {512 + 4, 0xfffffffd}};
  const auto image = test::open_vdi(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  const auto extent = (*image)->map({4096, 1});
  ASSERT_FALSE(extent);
  EXPECT_EQ(extent.error().message(), "block 1: points past the end of the file");
}

TEST(VdiAttack, DataInsideTheBlockMap) {
  for (const uint32_t offset : {0u, 512u, 527u}) {
    auto builder = good();
    builder.data_offset = 1024;
    builder.words32 = {{344, offset}};
    EXPECT_THAT(refusal(builder), HasSubstr("begins inside the block map")) << offset;
  }
}

TEST(VdiAttack, MoreBlocksAllocatedThanThereAre) {
  auto builder = good();
  builder.blocks_allocated = 5;
  EXPECT_THAT(refusal(builder), HasSubstr("5 blocks allocated, but only 4"));
}

TEST(VdiAttack, FileThatLostItsLastBlocks) {
  auto builder = good();
  builder.file_size = 1024 + 4096;
  EXPECT_EQ(refusal(builder), "truncated: the header counts 2 blocks, the file holds 1");
  builder.file_size = 1024;
  EXPECT_EQ(refusal(builder), "truncated: the header counts 2 blocks, the file holds 0");
}

TEST(VdiAttack, GeometryWithOtherSectors) {
  auto builder = good();
  builder.lchs[3] = 4096;
  EXPECT_THAT(refusal(builder), HasSubstr("sectors of 4096 bytes"));
}

TEST(VdiAttack, DifferencingImageThatNamesNoParent) {
  auto builder = good();
  builder.type = 4;
  EXPECT_THAT(refusal(builder), HasSubstr("names no parent"));
  EXPECT_TRUE(test::open_vdi(builder.file(), true));
}

}  // namespace
}  // namespace platter::vdi
