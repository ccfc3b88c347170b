// What a new VHDX looks like, and what it cannot be made as.
#include "formats/vhdx/create.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/vhdx_builder.h"

namespace platter::vhdx {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class NewVhdx {
 public:
  explicit NewVhdx(uint64_t size, Options options = {}, std::optional<ParentLink> parent = {}) {
    auto made = create_vhdx({.file = file, .size = size, .options = options, .parent = parent});
    if (made) {
      writer = *std::move(made);
    } else {
      why = made.error().message();
      EXPECT_EQ(made.error().code(), Errc::invalid);
    }
  }
  Result<void> write(uint64_t offset, uint64_t length, int value) {
    return writer->write(offset, std::vector(length, static_cast<std::byte>(value)));
  }
  // Finishes it and opens it.
  ImagePtr finish() {
    const Result<void> done = writer->finish();
    EXPECT_TRUE(done) << done.error().message();
    auto image = test::open_vhdx(file);
    EXPECT_TRUE(image) << image.error().message();
    return image ? *std::move(image) : nullptr;
  }
  uint64_t word(uint64_t at) const { return *file->read_struct<le64>(at); }
  uint64_t entry(uint64_t index) const { return word(3 * MiB + 8 * index); }

  std::shared_ptr<MemoryFile> file = std::make_shared<MemoryFile>("new.vhdx");
  ImageWriterPtr writer;
  std::string why;
};

const ParentLink kParent{.reference = "base.vhdx",
                         .format = "vhdx",
                         .uuid = Uuid::parse("11111111-0000-4000-8000-000000000001"),
                         .modification_uuid = Uuid::parse("11111111-0000-4000-8000-000000000002")};

TEST(VhdxCreate, MakesASmallDynamicDiskByDefault) {
  NewVhdx vhdx(5 * MiB);
  const ImagePtr image = vhdx.finish();
  ASSERT_TRUE(image);
  const ImageInfo& info = image->info();
  EXPECT_EQ(image->size(), 5 * MiB);
  EXPECT_EQ(info.variant, "dynamic");
  EXPECT_EQ(info.block_size, 8 * MiB);
  EXPECT_FALSE(info.dirty);
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(info.details, Contains(Detail{"logical_sector", uint64_t{512}}));
  EXPECT_THAT(info.details, Contains(Detail{"log_size", MiB}));
  EXPECT_EQ(vhdx.file->stat()->size, 4 * MiB);
  EXPECT_LE(vhdx.file->stat()->allocated, 256 * KiB);
  EXPECT_EQ(vhdx.entry(0), 2u);
  EXPECT_EQ(vhdx.entry(1), 0u);
}

TEST(VhdxCreate, GivesLargerDisksLargerBlocks) {
  const std::pair<uint64_t, uint64_t> sizes[] = {{GiB, 8},
                                                 {GiB + 1, 16},
                                                 {100 * GiB + 1, 32},
                                                 {32 * 1024 * GiB + 1, 64},
                                                 {64 * 1024 * GiB, 64}};
  for (const auto& [size, block] : sizes) {
    NewVhdx vhdx(size, {{"block_state_zero", "off"}});
    EXPECT_EQ(vhdx.writer->block_size(), block * MiB) << size;
    EXPECT_EQ(vhdx.finish()->size(), align_up(size, 512));
    EXPECT_LE(vhdx.file->stat()->allocated, 256 * KiB);
  }
}

TEST(VhdxCreate, PutsBlocksOneBehindTheOther) {
  NewVhdx vhdx(6 * MiB - 512, {{"block_size", "1M"}});
  ASSERT_TRUE(vhdx.write(MiB, 2 * MiB, 0x11));
  ASSERT_TRUE(vhdx.write(5 * MiB, MiB - 512, 0x22));
  const ImagePtr image = vhdx.finish();
  ASSERT_TRUE(image);
  EXPECT_EQ(vhdx.entry(0), 2u);
  EXPECT_EQ(vhdx.entry(1), 4 * MiB | 6);
  EXPECT_EQ(vhdx.entry(2), 5 * MiB | 6);
  EXPECT_EQ(vhdx.entry(3), 2u);
  EXPECT_EQ(vhdx.entry(5), 6 * MiB | 6);
  EXPECT_EQ(vhdx.entry(6), 0u);
  EXPECT_EQ(vhdx.file->stat()->size, 7 * MiB);
  BlockCache blocks(MiB);
  std::vector<std::byte> disk(6 * MiB - 512);
  ASSERT_TRUE(View({{image.get(), 0}}, blocks).read(0, disk));
  EXPECT_EQ(disk[MiB], std::byte{0x11});
  EXPECT_EQ(disk[3 * MiB - 1], std::byte{0x11});
  EXPECT_EQ(disk[3 * MiB], std::byte{0});
  EXPECT_EQ(disk.back(), std::byte{0x22});
}

TEST(VhdxCreate, GivesEveryBlockOfAFixedDiskItsPlace) {
  NewVhdx vhdx(3 * MiB + 512, {{"fixed", "on"}, {"block_size", "1M"}});
  ASSERT_TRUE(vhdx.write(2 * MiB, MiB, 0x11));
  const ImagePtr image = vhdx.finish();
  ASSERT_TRUE(image);
  EXPECT_EQ(image->info().variant, "fixed");
  for (uint64_t block = 0; block < 4; ++block) EXPECT_EQ(vhdx.entry(block), (4 + block) * MiB | 6);
  EXPECT_EQ(vhdx.file->stat()->size, 8 * MiB);
  EXPECT_LE(vhdx.file->stat()->allocated, MiB + 256 * KiB);
  EXPECT_EQ(image->map({0, 3 * MiB + 512})->guest, (Range{0, 3 * MiB + 512}));
}

TEST(VhdxCreate, LeavesRoomForTheEntriesOfBitmaps) {
  // 4096 blocks a chunk.
  NewVhdx vhdx(4098 * MiB, {{"block_size", "1M"}});
  ASSERT_TRUE(vhdx.write(4097 * MiB, MiB, 0x11));
  ASSERT_TRUE(vhdx.finish());
  EXPECT_EQ(vhdx.entry(4095), 2u);
  EXPECT_EQ(vhdx.entry(4096), 0u);
  EXPECT_EQ(vhdx.entry(4097), 2u);
  EXPECT_EQ(vhdx.entry(4098), 4 * MiB | 6);
  EXPECT_EQ(vhdx.entry(4099), 0u);
}

TEST(VhdxCreate, SaysNothingOfEmptyBlocksWhereItShallNot) {
  NewVhdx vhdx(4 * MiB, {{"block_size", "1M"}, {"block_state_zero", "off"}});
  ASSERT_TRUE(vhdx.write(MiB, MiB, 0x11));
  ASSERT_TRUE(vhdx.finish());
  EXPECT_EQ(vhdx.entry(0), 0u);
  EXPECT_EQ(vhdx.entry(1), 4 * MiB | 6);
  EXPECT_EQ(vhdx.entry(2), 0u);
}

TEST(VhdxCreate, RoundsADiskUpToWholeSectors) {
  EXPECT_EQ(NewVhdx(1'000'001).finish()->size(), 1'000'448u);
  EXPECT_EQ(NewVhdx(1'000'001, {{"logical_sector_size", "4096"}}).finish()->size(), 1'003'520u);
}

TEST(VhdxCreate, TakesABlockThatEndsWhereTheSourceDoes) {
  NewVhdx vhdx(1'000'001);
  EXPECT_TRUE(vhdx.write(0, 1'000'001, 0x11));
  EXPECT_EQ(vhdx.finish()->map({0, 1})->kind, Extent::Kind::data);
}

TEST(VhdxCreate, LeavesHolesInItsBlocks) {
  NewVhdx vhdx(16 * MiB);
  std::vector<std::byte> block(8 * MiB);
  block[3 * MiB + 5] = block[3 * MiB + 70000] = block.back() = std::byte{1};
  ASSERT_TRUE(vhdx.writer->write(8 * MiB, block));
  ASSERT_TRUE(vhdx.finish());
  EXPECT_LE(vhdx.file->stat()->allocated, 512 * KiB);
  std::vector<std::byte> stored(8 * MiB);
  ASSERT_TRUE(vhdx.file->read_exact(4 * MiB, stored));
  EXPECT_TRUE(stored == block);
}

TEST(VhdxCreate, HasSectorsOf4096BytesWhereItShall) {
  NewVhdx vhdx(8 * MiB, {{"logical_sector_size", "4k"}});
  EXPECT_THAT(vhdx.finish()->info().details, Contains(Detail{"logical_sector", uint64_t{4096}}));
}

TEST(VhdxCreate, HasALargerLogWhereItShall) {
  NewVhdx vhdx(8 * MiB, {{"log_size", "3M"}});
  EXPECT_THAT(vhdx.finish()->info().details, Contains(Detail{"bat_offset", 5 * MiB}));
  EXPECT_EQ(vhdx.file->stat()->size, 6 * MiB);
}

TEST(VhdxCreate, OfAChildNamesItsParentAndHasItsId) {
  NewVhdx vhdx(8 * MiB, {{"block_size", "1M"}}, kParent);
  ASSERT_TRUE(vhdx.write(MiB, MiB, 0x11));
  ASSERT_TRUE(vhdx.writer->zero({2 * MiB, 3 * MiB}));
  const ImagePtr image = vhdx.finish();
  ASSERT_TRUE(image);
  const ImageInfo& info = image->info();
  EXPECT_EQ(info.variant, "differencing");
  EXPECT_EQ(info.uuid, kParent.uuid);
  ASSERT_TRUE(info.parent);
  EXPECT_EQ(info.parent->reference, "base.vhdx");
  EXPECT_EQ(info.parent->format, "vhdx");
  EXPECT_EQ(info.parent->modification_uuid, kParent.modification_uuid);
  EXPECT_FALSE(info.parent->uuid);
  EXPECT_THAT(info.details, Contains(Detail{"parent.relative_path", ".\\base.vhdx"}));
  EXPECT_EQ(vhdx.entry(0), 0u);
  EXPECT_EQ(vhdx.entry(1), 4 * MiB | 6);
  EXPECT_EQ(vhdx.entry(2), 2u);
  EXPECT_EQ(vhdx.entry(4), 2u);
  EXPECT_EQ(vhdx.entry(5), 0u);
}

TEST(VhdxCreate, RefusesWhatNoVhdxCanBe) {
  EXPECT_THAT(NewVhdx(0).why, HasSubstr("0 bytes"));
  EXPECT_THAT(NewVhdx(64 * 1024 * GiB + 1).why, HasSubstr("at most 64 TiB"));
  EXPECT_THAT(NewVhdx(MiB, {{"fixed", "maybe"}}).why, HasSubstr("fixed=maybe: must be on or off"));
  EXPECT_THAT(NewVhdx(MiB, {{"block_state_zero", "2"}}).why, HasSubstr("block_state_zero=2"));
  for (const char* size : {"512k", "512M", "3M", "0", "x"}) {
    EXPECT_THAT(NewVhdx(MiB, {{"block_size", size}}).why, HasSubstr("a power of two from 1M"));
  }
  for (const char* size : {"1000", "0", "4G", ""}) {
    EXPECT_THAT(NewVhdx(MiB, {{"log_size", size}}).why, HasSubstr("a multiple of 1M"));
  }
  EXPECT_THAT(NewVhdx(MiB, {{"logical_sector_size", "1k"}}).why, HasSubstr("must be 512 or 4096"));
  EXPECT_THAT(NewVhdx(MiB, {{"fixed", "on"}}, kParent).why, HasSubstr("cannot be fixed"));
  ParentLink other = kParent;
  other.format = "qcow2";
  EXPECT_THAT(NewVhdx(MiB, {}, other).why, HasSubstr("can only have another VHDX"));
}

TEST(VhdxCreate, RefusesBlocksOutOfOrder) {
  NewVhdx vhdx(8 * MiB, {{"block_size", "1M"}});
  ASSERT_TRUE(vhdx.write(2 * MiB, MiB, 1));
  for (const uint64_t at : {MiB, 2 * MiB, 3 * MiB + 512, 8 * MiB}) {
    EXPECT_FALSE(vhdx.write(at, MiB, 1)) << at;
  }
  EXPECT_FALSE(vhdx.write(3 * MiB, MiB - 512, 1));
  EXPECT_FALSE(vhdx.writer->zero({MiB, MiB}));
  EXPECT_TRUE(vhdx.write(3 * MiB, MiB, 1));
}

}  // namespace
}  // namespace platter::vhdx
