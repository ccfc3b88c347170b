// What an image says of itself, and which parent it names, changed.
#include "formats/vhdx/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhdx/headers.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;
using testing::HasSubstr;

const Uuid kNew = *Uuid::parse("12345678-1111-4222-8333-444444444444");
const Uuid kNewer = *Uuid::parse("12345678-1111-4222-8333-555555555555");

VhdxBuilder named_child() {
  VhdxBuilder builder{.parameters = 2};
  builder.locator = {{"parent_linkage", "{aaaaaaaa-0000-4000-8000-000000000001}"},
                     {"relative_path", ".\\base.vhdx"},
                     {"of_mine", "kept"}};
  return builder;
}

Result<void> set(const FilePtr& file, const Metadata& values) {
  Epochs epochs;
  const ImagePtr image = TRY(test::open_writable_vhdx(file, epochs, true));
  return image->set_metadata(values);
}

ImageInfo info_of(const FilePtr& file) {
  const auto image = test::open_vhdx(file, true);
  EXPECT_TRUE(image) << image.error().message();
  return image ? (*image)->info() : ImageInfo();
}

TEST(VhdxMetadataSet, ChangesBothIdsAtOnceOrNeither) {
  const VhdxBuilder builder;
  const auto start = builder.file();
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(*start);
    const auto look = [&](test::Call call) -> Result<void> {
      if (call == test::Call::read) return {};
      const ImageInfo info = info_of(file->crash(random));
      EXPECT_EQ(info.uuid == builder.disk_id, info.modification_uuid == builder.data_write);
      EXPECT_TRUE(info.uuid == builder.disk_id || info.uuid == kNew);
      return {};
    };
    ASSERT_TRUE(set(std::make_shared<test::WrappedFile>(file, look),
                    {{"uuid", kNew.to_string()}, {"modification-uuid", kNewer.to_string()}}));
    const ImageInfo info = info_of(file->crash(random));
    EXPECT_EQ(info.uuid, kNew);
    EXPECT_EQ(info.modification_uuid, kNewer);
  }
}

TEST(VhdxMetadataSet, LeavesAnEmptyLogDurably) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(*VhdxBuilder{}.file());
    ASSERT_TRUE(set(file, {{"uuid", kNew.to_string()}}));
    EXPECT_FALSE(info_of(file->crash(random)).dirty);
  }
}

TEST(VhdxMetadataSet, ChangesTheDataWriteGuidAlone) {
  const auto file = std::make_shared<test::CrashFile>(*VhdxBuilder{}.file());
  std::mt19937_64 random(1);
  ASSERT_TRUE(set(file, {{"modification-uuid", kNew.to_string()}}));
  const auto after = file->crash(random);
  EXPECT_EQ(info_of(after).modification_uuid, kNew);
  // Both headers say so.
  (void)after->write(kHeadersAt[read_headers(*after)->slot], std::vector<std::byte>(512));
  EXPECT_EQ(info_of(after).modification_uuid, kNew);
}

TEST(VhdxMetadataSet, ChangesWhichParentIsExpected) {
  const auto file = named_child().file();
  ASSERT_TRUE(set(file, {{"parent-modification-uuid", kNew.to_string()}}));
  const ImageInfo info = info_of(file);
  EXPECT_EQ(info.parent->modification_uuid, kNew);
  EXPECT_EQ(info.parent->reference, "base.vhdx");
  EXPECT_THAT(info.details, testing::Contains(Detail{"parent.of_mine", "kept"}));
}

TEST(VhdxMetadataSet, SaysWhatAVhdxDoesNotKeep) {
  const auto why = [](const FilePtr& file, const std::string& key, const std::string& value) {
    const Result<void> done = set(file, {{"uuid", "random"}, {key, value}});
    return done ? "" : done.error().message();
  };
  const VhdxBuilder builder;
  const auto file = builder.file();
  EXPECT_EQ(why(file, "comment", "x"), "comment: a VHDX keeps no such value");
  EXPECT_EQ(why(file, "geometry-lchs", "1/2/3"), "geometry-lchs: a VHDX keeps no such value");
  EXPECT_THAT(why(file, "parent-uuid", "random"), HasSubstr("parent-modification-uuid alone"));
  EXPECT_THAT(why(file, "parent-modification-uuid", "random"), HasSubstr("has no parent"));
  EXPECT_THAT(why(file, "modification-uuid", "x"), HasSubstr("not a UUID"));
  EXPECT_EQ(info_of(file).uuid, builder.disk_id);
}

TEST(VhdxMetadataSet, ReplaysALogFirst) {
  VhdxBuilder builder{.log_guid = Uuid::random()};
  std::vector<std::byte> page(4096);
  store(page, 8, le64(2));
  builder.log.push_back({.pages = {{VhdxBuilder::kBat, page}}});
  const auto file = builder.file();
  ASSERT_TRUE(set(file, {{"uuid", kNew.to_string()}}));
  EXPECT_EQ(test::vhdx_entry(*file, 1), 2u);
  EXPECT_EQ(info_of(file).uuid, kNew);
  EXPECT_FALSE(info_of(file).dirty);
}

TEST(VhdxParentSet, NamesTheOldParentOrTheNewOneWhenPowerIsLost) {
  const auto start = named_child().file();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(*start);
    const auto look = [&](test::Call call) -> Result<void> {
      if (call == test::Call::read) return {};
      const ImageInfo info = info_of(file->crash(random));
      const bool old = info.parent && info.parent->reference == "base.vhdx";
      EXPECT_TRUE(old || (info.parent && info.parent->reference == "../other/parent.vhdx"));
      EXPECT_EQ(info.parent->modification_uuid == kNew, !old);
      return {};
    };
    Epochs epochs;
    auto image =
        test::open_writable_vhdx(std::make_shared<test::WrappedFile>(file, look), epochs, true);
    ASSERT_TRUE(image);
    ASSERT_TRUE((*image)->set_parent(
        {.reference = "../other/parent.vhdx", .format = "vhdx", .modification_uuid = kNew}));
    const ImageInfo info = info_of(file->crash(random));
    EXPECT_EQ(info.parent->reference, "../other/parent.vhdx");
    EXPECT_THAT(info.details, testing::Contains(Detail{"parent.of_mine", "kept"}));
  }
}

TEST(VhdxParentSet, FindsRoomAgainAndAgain) {
  const auto file = named_child().file();
  for (int i = 0; i < 50; ++i) {
    const std::string name = std::string(static_cast<size_t>(1 + 37 * i), 'x') + ".vhdx";
    Epochs epochs;
    auto image = test::open_writable_vhdx(file, epochs, true);
    ASSERT_TRUE(image);
    ASSERT_TRUE((*image)->set_parent({.reference = name, .modification_uuid = kNew}));
    EXPECT_EQ(info_of(file).parent->reference, name);
  }
}

TEST(VhdxParentSet, IsForChildrenOnly) {
  const auto file = VhdxBuilder{}.file();
  Epochs epochs;
  auto image = test::open_writable_vhdx(file, epochs, true);
  ASSERT_TRUE(image);
  const auto done = (*image)->set_parent({.reference = "x.vhdx", .modification_uuid = kNew});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::unsupported);
}

}  // namespace
}  // namespace platter::vhdx
