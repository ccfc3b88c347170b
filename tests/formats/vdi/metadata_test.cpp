#include "formats/vdi/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vdi/vdi_disk.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::HasSubstr;

constexpr auto kUuid = "01234567-89ab-4cde-8f01-23456789abcd";

Result<void> set(const FilePtr& file, const Metadata& values) {
  Epochs epochs;
  const auto image = TRY(test::open_writable_vdi(file, epochs));
  return image->set_metadata(values);
}

ImageInfo info_of(const FilePtr& file) {
  const auto image = test::open_vdi(file);
  return image ? (*image)->info() : ImageInfo{};
}

TEST(VdiMetadata, KeepsWhatItIsTold) {
  const auto file = VdiBuilder{.map = {0}, .data = {1}}.file();
  ASSERT_TRUE(
      set(file, {{"uuid", kUuid}, {"comment", "größer"}, {"geometry-lchs", "1023/255/63"}}));
  const ImageInfo info = info_of(file);
  EXPECT_EQ(info.uuid->to_string(), kUuid);
  EXPECT_EQ(info.comment, "größer");
  ASSERT_TRUE(info.lchs);
  EXPECT_EQ(info.lchs->cylinders, 1023u);
  EXPECT_EQ(info.lchs->heads, 255u);
  EXPECT_EQ(info.lchs->sectors, 63u);
  EXPECT_EQ(info.modification_uuid, VdiBuilder{}.modification_uuid);
}

TEST(VdiMetadata, KeepsTheUuidsOfAChild) {
  const auto file =
      VdiBuilder{.type = 4, .map = {0}, .parent_uuid = Uuid::random(), .data = {1}}.file();
  ASSERT_TRUE(set(
      file,
      {{"modification-uuid", kUuid}, {"parent-uuid", kUuid}, {"parent-modification-uuid", kUuid}}));
  const ImageInfo info = info_of(file);
  EXPECT_EQ(info.modification_uuid->to_string(), kUuid);
  EXPECT_EQ(info.parent->uuid->to_string(), kUuid);
  EXPECT_EQ(info.parent->modification_uuid->to_string(), kUuid);
}

TEST(VdiMetadata, LeavesNothingOfALongerComment) {
  const auto file = VdiBuilder{.comment = std::string(200, 'x'), .map = {0}, .data = {1}}.file();
  ASSERT_TRUE(set(file, {{"comment", "short"}}));
  std::vector<std::byte> field(256);
  ASSERT_TRUE(file->read_exact(84, field));
  EXPECT_EQ(std::count(field.begin(), field.end(), std::byte{0}), 251);
}

TEST(VdiMetadata, DrawsAUuid) {
  const auto file = VdiBuilder{.map = {0}, .data = {1}}.file();
  ASSERT_TRUE(set(file, {{"uuid", "random"}}));
  EXPECT_NE(info_of(file).uuid, VdiBuilder{}.uuid);
  EXPECT_TRUE(info_of(file).uuid);
}

void expect_refused(const VdiBuilder& builder, const Metadata& values, Errc code,
                    const std::string& text) {
  const auto file = builder.file();
  const auto before = test::bytes_of_file(*file);
  const auto done = set(file, values);
  ASSERT_FALSE(done) << text;
  EXPECT_EQ(done.error().code(), code) << text;
  EXPECT_THAT(done.error().message(), HasSubstr(text));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiMetadata, RefusesWhatItCannotBeAndChangesNothing) {
  const VdiBuilder b{.map = {0}, .data = {1}};
  expect_refused(b, {{"comment", "kept?"}, {"uuid", "none"}}, Errc::invalid, "not a UUID");
  expect_refused(b, {{"uuid", Uuid{}.to_string()}}, Errc::invalid, "must have one");
  expect_refused(b, {{"comment", std::string(256, 'x')}}, Errc::invalid, "256 bytes");
  expect_refused(b, {{"comment", "\xff"}}, Errc::invalid, "UTF-8");
  for (const char* chs : {"1/2", "1/2/3/4", "a/2/3", "1/256/63", "1/255/64", "-1/2/3", ""}) {
    expect_refused(b, {{"geometry-lchs", chs}}, Errc::invalid, "C/H/S");
  }
  expect_refused(b, {{"parent-uuid", kUuid}}, Errc::unsupported, "no parent");
  expect_refused(b, {{"geometry-pchs", "1/2/3"}}, Errc::unsupported, "physical geometry");
  expect_refused(b, {{"colour", "red"}}, Errc::unsupported, "no such value");
  expect_refused({.header_size = 384, .map = {0}, .data = {1}}, {{"geometry-lchs", "1/2/3"}},
                 Errc::unsupported, "no room");
}

TEST(VdiMetadata, TakesTheLongestComment) {
  const auto file = VdiBuilder{.map = {0}, .data = {1}}.file();
  ASSERT_TRUE(set(file, {{"comment", std::string(255, 'x')}}));
  EXPECT_EQ(info_of(file).comment, std::string(255, 'x'));
}

TEST(VdiDropParent, MakesADynamicDiskOfADifferencingOne) {
  const auto file = VdiBuilder{
      .type = 4,
      .map = {0, VdiBuilder::kFree},
      .parent_uuid = Uuid::random(),
      .data = {1}}.file();
  Epochs epochs;
  auto image = test::open_writable_vdi(file, epochs);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->drop_parent());
  EXPECT_FALSE(info_of(file).parent);
  EXPECT_EQ(info_of(file).variant, "dynamic");
  EXPECT_EQ(info_of(file).uuid, VdiBuilder{}.uuid);
  EXPECT_EQ(test::disk_of(file).front(), std::byte{1});
  EXPECT_EQ(test::disk_of(file).back(), std::byte{0});
  image = test::open_writable_vdi(file, epochs);
  EXPECT_EQ((*image)->drop_parent().error().code(), Errc::unsupported);
}

}  // namespace
}  // namespace platter::vdi
