// Headers, regions and metadata: what is taken, what is refused and how it is said. Limits are
// those of the structures themselves, and of the file that holds them.
#include "formats/vhdx/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/support/vhdx_builder.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kUnknownGuid = "12345678-1234-4234-8234-123456789abc";

// The message of the refusal; "" when it was taken.
std::string not_taken(const VhdxBuilder& builder, Errc expected = Errc::corrupt) {
  const auto image = test::open_vhdx(builder.file());
  if (image) return {};
  EXPECT_EQ(image.error().code(), expected) << image.error().message();
  return image.error().message();
}

// With one item changed, or more of them.
std::string not_taken_items(const std::function<void(std::vector<VhdxBuilder::Item>&)>& change,
                            Errc expected = Errc::corrupt, uint32_t parameters = 0) {
  VhdxBuilder builder{.parameters = parameters};
  builder.change_items = change;
  return not_taken(builder, expected);
}

TEST(VhdxHeader, IsTakenWhenItIsRight) {
  const auto image = test::open_vhdx(VhdxBuilder{.creator = "Some program 1.2"}.file());
  ASSERT_TRUE(image) << image.error().message();
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ((*image)->size(), 4 * MiB);
  EXPECT_EQ(info.format, "vhdx");
  EXPECT_EQ(info.variant, "dynamic");
  EXPECT_EQ(info.block_size, MiB);
  EXPECT_EQ(info.uuid->to_string(), "01234567-89ab-4def-8123-456789abcdef");
  EXPECT_EQ(info.modification_uuid->to_string(), "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
  EXPECT_FALSE(info.parent);
  EXPECT_FALSE(info.dirty);
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(info.details, Contains(Detail{"creator", "Some program 1.2"}));
  EXPECT_THAT(info.details, Contains(Detail{"logical_sector", uint64_t{512}}));
  EXPECT_THAT(info.details, Contains(Detail{"sequence_number", uint64_t{2}}));
  EXPECT_THAT(info.details, Contains(Detail{"chunk_ratio", uint64_t{4096}}));
}

TEST(VhdxHeader, NamesItsVariant) {
  EXPECT_EQ((*test::open_vhdx(VhdxBuilder{.parameters = 1}.file()))->info().variant, "fixed");
  const VhdxBuilder child{.parameters = 2, .locator = {{"relative_path", "x.vhdx"}}};
  EXPECT_EQ((*test::open_vhdx(child.file()))->info().variant, "differencing");
}

TEST(VhdxHeader, ThatIsNoneOfOursIsAnotherFormat) {
  EXPECT_THAT(not_taken({.signature = "vhdxfilE"}, Errc::wrong_format), HasSubstr("no VHDX"));
}

TEST(VhdxHeader, OfTheLargerNumberCounts) {
  VhdxBuilder builder{.sequences = {9, 7}};
  // The data write GUID of the second one.
  builder.words64[128 * KiB + 32] = 0;
  EXPECT_EQ((*test::open_vhdx(builder.file()))->info().modification_uuid, builder.data_write);
  builder.sequences[1] = 10;
  EXPECT_NE((*test::open_vhdx(builder.file()))->info().modification_uuid, builder.data_write);
}

TEST(VhdxHeader, ThatIsDamagedLeavesTheOtherOne) {
  for (const uint64_t at : {64 * KiB, 128 * KiB}) {
    for (const uint64_t field : {uint64_t{0}, uint64_t{100}}) {
      VhdxBuilder builder;
      builder.broken32[at + field] = 0x12345678;
      const auto image = test::open_vhdx(builder.file());
      ASSERT_TRUE(image) << image.error().message();
      EXPECT_THAT((*image)->info().warnings, Contains(HasSubstr("is damaged")));
    }
  }
}

TEST(VhdxHeader, OfWhichNoneIsLeftIsRefused) {
  VhdxBuilder builder;
  builder.broken32[64 * KiB + 8] = builder.broken32[128 * KiB + 8] = 99;
  EXPECT_EQ(not_taken(builder), "headers: neither of the two is valid");
}

TEST(VhdxHeader, TwiceTheSameIsTakenAndTwoOfOneNumberAreNot) {
  VhdxBuilder builder{.sequences = {5, 5}};
  EXPECT_EQ(not_taken(builder), "");
  builder.words64[128 * KiB + 32] = 1;
  EXPECT_EQ(not_taken(builder), "headers: both have the sequence number 5 and differ");
}

TEST(VhdxHeader, OfAnotherVersionIsRefused) {
  EXPECT_THAT(not_taken({.version = 2}, Errc::unsupported), HasSubstr("VHDX version 2"));
}

TEST(VhdxHeader, WithALogOfAnotherVersionIsRefusedOnlyWhenThereIsSomethingInIt) {
  VhdxBuilder builder{.log_version = 1};
  EXPECT_EQ(not_taken(builder), "");
  builder.log_guid = Uuid::random();
  EXPECT_THAT(not_taken(builder, Errc::unsupported), HasSubstr("log version 1"));
}

TEST(VhdxHeader, WithALogThatCannotBeIsRefused) {
  EXPECT_THAT(not_taken({.log_length = 5000}), HasSubstr("a log of 5000 bytes"));
  EXPECT_THAT(not_taken({.log_offset = MiB + 4096}), HasSubstr("a log of"));
  EXPECT_THAT(not_taken({.log_offset = 0}), HasSubstr("in the header section"));
  EXPECT_THAT(not_taken({.log_offset = 0xfffffffffff00000}), HasSubstr("a log of"));
  EXPECT_THAT(not_taken({.log_offset = VhdxBuilder::kBat}), HasSubstr("overlaps the log"));
  EXPECT_THAT(not_taken({.log_guid = Uuid::random(), .log_length = 0}),
              HasSubstr("log of 0 bytes"));
}

TEST(VhdxRegions, OfTheSecondCopyAreTakenWhenTheFirstIsDamaged) {
  for (const uint64_t at : {192 * KiB, 256 * KiB}) {
    VhdxBuilder builder;
    builder.broken32[at + 60 * KiB] = 1;
    const auto image = test::open_vhdx(builder.file());
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_THAT((*image)->info().warnings, Contains(HasSubstr("region table: its checksum")));
  }
  VhdxBuilder builder;
  builder.broken32[192 * KiB] = builder.broken32[256 * KiB] = 1;
  EXPECT_EQ(not_taken(builder), "region table: no signature");
}

TEST(VhdxRegions, MayBeMarkedAsNotRequired) {
  VhdxBuilder builder;
  for (auto& region : builder.regions) region.required = 0;
  EXPECT_EQ(not_taken(builder), "");
}

TEST(VhdxRegions, ThatNobodyKnowsAreRefusedOnlyWhenTheyAreRequired) {
  VhdxBuilder builder;
  builder.regions.push_back({kUnknownGuid, 4 * MiB, MiB, 0});
  EXPECT_EQ(not_taken(builder), "");
  builder.regions.back().required = 1;
  EXPECT_EQ(not_taken(builder, Errc::unsupported),
            std::string("region table: an unknown region is required: ") + kUnknownGuid);
}

TEST(VhdxRegions, ThatCannotBeAreRefused) {
  const auto with = [](uint64_t offset, uint64_t length) {
    VhdxBuilder builder;
    builder.regions.push_back({kUnknownGuid, offset, static_cast<uint32_t>(length), 0});
    return not_taken(builder);
  };
  EXPECT_EQ(with(5 * MiB, MiB), "");
  EXPECT_THAT(with(5 * MiB + 1, MiB), HasSubstr("a region of"));
  EXPECT_THAT(with(5 * MiB, MiB - 1), HasSubstr("a region of"));
  EXPECT_THAT(with(5 * MiB, 0), HasSubstr("a region of 0 bytes"));
  EXPECT_THAT(with(0, MiB), HasSubstr("a region of"));
  EXPECT_THAT(with(0x7ffffffffff00000, MiB), HasSubstr("a region of"));
  EXPECT_THAT(with(0xfffffffffff00000, MiB), HasSubstr("a region of"));
  EXPECT_THAT(with(2 * MiB, 2 * MiB), HasSubstr("overlap"));
  EXPECT_THAT(with(MiB, MiB), HasSubstr("overlaps the log"));
}

TEST(VhdxRegions, AreThereOnceEach) {
  VhdxBuilder builder;
  builder.regions.push_back({VhdxBuilder::kBatGuid, 5 * MiB, MiB});
  EXPECT_THAT(not_taken(builder), HasSubstr("is there twice"));
  builder.regions.erase(builder.regions.begin() + 1, builder.regions.end());
  EXPECT_EQ(not_taken(builder), "region table: no BAT");
  builder = {};
  builder.regions.erase(builder.regions.begin());
  EXPECT_EQ(not_taken(builder), "region table: no metadata region");
}

TEST(VhdxRegions, AreAtMost2047) {
  VhdxBuilder builder;
  builder.words32[192 * KiB + 8] = builder.words32[256 * KiB + 8] = 2048;
  EXPECT_THAT(not_taken(builder), HasSubstr("2048 entries"));
  builder.words32[192 * KiB + 8] = builder.words32[256 * KiB + 8] = 0xffffffff;
  EXPECT_THAT(not_taken(builder), HasSubstr("4294967295 entries"));
}

TEST(VhdxMetadata, NeedsItsSignatureAndATableThatFits) {
  VhdxBuilder builder;
  builder.broken32[VhdxBuilder::kMetadata] = 0;
  EXPECT_EQ(not_taken(builder), "metadata: no signature");
  builder.broken32 = {{VhdxBuilder::kMetadata + 8, uint64_t{2048} << 16}};
  EXPECT_THAT(not_taken(builder), HasSubstr("a table of 2048 items"));
}

TEST(VhdxMetadata, IsRefusedWhenAnItemIsMissing) {
  const char* const names[] = {"file parameters", "virtual disk size", "virtual disk id",
                               "logical sector size", "physical sector size"};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(
        not_taken_items([&](auto& items) { items.erase(items.begin() + static_cast<long>(i)); }),
        std::string("metadata: ") + names[i] + ": is missing");
  }
  EXPECT_EQ(not_taken_items([](auto& items) { items.pop_back(); }, Errc::corrupt, 2),
            "metadata: parent locator: is missing");
}

TEST(VhdxMetadata, IsRefusedWhenAnItemHasAnotherLength) {
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_THAT(not_taken_items([&](auto& items) { items[i].length = 7; }),
                HasSubstr(": 7 bytes instead of"));
  }
}

TEST(VhdxMetadata, IsRefusedWhenAnItemDoesNotLieInItsRegion) {
  using Item = VhdxBuilder::Item;
  const auto with = [](uint32_t offset, uint32_t length) {
    return not_taken_items([&](auto& items) {
      items.push_back(Item{.guid = kUnknownGuid, .offset = offset, .length = length, .flags = 0});
    });
  };
  EXPECT_EQ(with(MiB - 8, 8), "");
  EXPECT_EQ(with(0, 0), "");
  EXPECT_THAT(with(MiB - 8, 9), HasSubstr("does not lie in its region"));
  EXPECT_THAT(with(64 * KiB - 1, 1), HasSubstr("does not lie in its region"));
  EXPECT_THAT(with(0xfffffff8, 16), HasSubstr("does not lie in its region"));
  EXPECT_THAT(with(100000, MiB + 1), HasSubstr("does not lie in its region"));
  EXPECT_THAT(with(64 * KiB + 4, 8), HasSubstr("overlap"));
}

TEST(VhdxMetadata, IsRefusedForAnUnknownItemOnlyWhenThatIsRequired) {
  using Item = VhdxBuilder::Item;
  const auto with = [](uint32_t flags) {
    return not_taken_items(
        [&](auto& items) {
          items.push_back(Item{.guid = kUnknownGuid, .bytes = {std::byte{1}}, .flags = flags});
        },
        Errc::unsupported);
  };
  EXPECT_EQ(with(0), "");
  EXPECT_EQ(with(4), std::string("metadata: an unknown item is required: ") + kUnknownGuid);
}

TEST(VhdxMetadata, HasEachItemOnceAndAUsersOfTheSameNameBesideIt) {
  EXPECT_THAT(not_taken_items([](auto& items) { items.push_back(items[1]); }),
              HasSubstr("is there twice"));
  EXPECT_EQ(not_taken_items([](auto& items) {
              items.push_back(items[1]);
              items.back().flags = 1;
            }),
            "");
}

TEST(VhdxMetadata, HasAtMost1024ItemsOfUsers) {
  const auto with = [](int count) {
    return not_taken_items([&](auto& items) {
      for (int i = 0; i < count; ++i) {
        Uuid guid = *Uuid::parse(kUnknownGuid);
        guid.bytes[0] = static_cast<std::byte>(i);
        guid.bytes[1] = static_cast<std::byte>(i >> 8);
        items.push_back({.guid = guid.to_string(), .bytes = {std::byte{1}}, .flags = 1});
      }
    });
  };
  EXPECT_EQ(with(1024), "");
  EXPECT_THAT(with(1025), HasSubstr("1025 items of users"));
}

TEST(VhdxMetadata, HasBlocksOfAPowerOfTwoFromOneTo256MiB) {
  for (const uint32_t size : {0U, 1U << 19, 3U << 20, 1U << 29, 0x80000000U, (1U << 20) + 1}) {
    EXPECT_THAT(not_taken({.block_size = size}), HasSubstr("blocks of ")) << size;
  }
  EXPECT_EQ(not_taken({.block_size = 256 << 20}), "");
}

TEST(VhdxMetadata, HasSectorsOf512Or4096Bytes) {
  for (const uint32_t size : {0U, 1024U, 511U, 0xffffffffU}) {
    EXPECT_THAT(not_taken({.sector_size = size}), HasSubstr("logical sector size: "));
    EXPECT_THAT(not_taken({.physical_sector_size = size}), HasSubstr("physical sector size: "));
  }
  EXPECT_EQ(not_taken({.sector_size = 4096}), "");
}

TEST(VhdxMetadata, HasADiskOfWholeSectorsUpTo64TiB) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{513}, 64 * 1024 * GiB + 512, ~uint64_t{511}}) {
    EXPECT_THAT(not_taken({.disk_size = size}), HasSubstr("virtual disk size: ")) << size;
  }
  EXPECT_THAT(not_taken({.disk_size = 512, .sector_size = 4096}), HasSubstr("in sectors of 4096"));
  EXPECT_EQ(not_taken({.disk_size = 512}), "");
}

TEST(VhdxMetadata, IsTakenWithUnknownFileParametersAndAWarning) {
  const auto image = test::open_vhdx(VhdxBuilder{.parameters = 0x101}.file());
  ASSERT_TRUE(image);
  EXPECT_THAT((*image)->info().warnings, Contains(HasSubstr("file parameters 0x100")));
}

TEST(VhdxBat, ThatIsTooSmallForTheDiskIsRefused) {
  // A region of 1 MiB has 131072 entries; every 4097th is of a bitmap.
  const uint64_t blocks = 131072 - 31;
  EXPECT_EQ(not_taken({.disk_size = blocks * MiB}), "");
  EXPECT_THAT(not_taken({.disk_size = (blocks + 1) * MiB}), HasSubstr("BAT: too small"));
  EXPECT_THAT(not_taken({.disk_size = 64 * 1024 * GiB}), HasSubstr("BAT: too small"));
}

TEST(VhdxBat, OfAChildHasWholeChunks) {
  VhdxBuilder child{.parameters = 2, .disk_size = 31 * 4096 * MiB};
  child.locator = {{"relative_path", "x.vhdx"}};
  EXPECT_EQ(not_taken(child), "");
  child.disk_size += MiB;
  EXPECT_THAT(not_taken(child), HasSubstr("BAT: too small"));
}

TEST(VhdxBat, ThatIsCutOffIsRefused) {
  EXPECT_EQ(not_taken({.file_size = VhdxBuilder::kBat + 32}), "");
  EXPECT_THAT(not_taken({.file_size = VhdxBuilder::kBat + 31}),
              HasSubstr("truncated: the BAT ends"));
}

TEST(VhdxFile, CutAnywhereIsRefusedOrOpensAndNeverReadsPastItsEnd) {
  VhdxBuilder builder;
  for (uint64_t size = 0; size < VhdxBuilder::kData; size += 33 * KiB) {
    builder.file_size = size;
    const auto image = test::open_vhdx(builder.file());
    EXPECT_TRUE(image || !image.error().message().empty());
  }
}

TEST(VhdxFile, IsFoundByItsSignatureAlone) {
  const auto probed = probe(*VhdxBuilder{}.file());
  ASSERT_TRUE(probed);
  EXPECT_EQ(probed->format->name(), "vhdx");
  EXPECT_FALSE(probed->guessed);
}

}  // namespace
}  // namespace platter::vhdx
