// What is said of a disk in its descriptor, and changed there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vmdk/vmdk_disk.h"
#include "tests/support/bytes.h"

namespace platter::vmdk {
namespace {

using test::VmdkBuilder;
using testing::HasSubstr;
using testing::Not;

Result<void> set(const FilePtr& file, const Metadata& values) {
  Epochs epochs;
  const auto image = TRY(test::open_writable_vmdk(file, epochs, {}, true));
  return image->set_metadata(values);
}

ImageInfo info_of(const FilePtr& file) {
  const auto image = test::open_vmdk(file);
  return image ? (*image)->info() : ImageInfo{};
}

TEST(VmdkMetadata, IsSetAndReadBack) {
  const auto file = VmdkBuilder{.table = {32}, .data = {0x10}}.file();
  const auto done = set(file, {{"uuid", "11111111-2222-4333-8444-555555555555"},
                               {"modification-uuid", "random"},
                               {"comment", "back\\slash\nand \xc3\xa4"},
                               {"geometry-pchs", "5/16/63"},
                               {"geometry-lchs", "7/255/63"}});
  ASSERT_TRUE(done) << done.error().message();
  const ImageInfo info = info_of(file);
  EXPECT_EQ(info.uuid->to_string(), "11111111-2222-4333-8444-555555555555");
  EXPECT_TRUE(info.modification_uuid);
  EXPECT_EQ(info.comment, "back\\slash\nand \xc3\xa4");
  EXPECT_EQ(info.pchs->cylinders, 5u);
  EXPECT_EQ(info.lchs->heads, 255u);
  EXPECT_EQ(info.content_id, "0a1b2c3d") << "the disk has not changed";
  EXPECT_EQ(test::sectors_of(file)[0], 0x10);
  ASSERT_TRUE(set(file, {{"comment", ""}, {"geometry-lchs", "0/0/0"}}));
  EXPECT_EQ(info_of(file).comment, "");
  EXPECT_FALSE(info_of(file).lchs);
}

TEST(VmdkMetadata, OfAStreamCanBeSetToo) {
  const auto file = VmdkBuilder{.version = 3, .flags = 0x30003, .compression = 1}.file();
  ASSERT_TRUE(set(file, {{"comment", "x"}}));
  EXPECT_EQ(info_of(file).comment, "x");
}

TEST(VmdkMetadata, RefusesWhatCannotBeAndChangesNothing) {
  const auto file = VmdkBuilder{}.file();
  const auto before = test::read_text(*file, 0, 16384);
  const auto refused = [&](const std::string& key, const std::string& value) {
    const auto done = set(file, {{"comment", "x"}, {key, value}});
    return done ? "" : done.error().message();
  };
  EXPECT_THAT(refused("uuid", "00000000-0000-0000-0000-000000000000"), HasSubstr("nil"));
  EXPECT_THAT(refused("uuid", "nonsense"), HasSubstr("uuid"));
  EXPECT_THAT(refused("parent-uuid", "random"), HasSubstr("no parent"));
  EXPECT_THAT(refused("geometry-pchs", "5/17/63"), HasSubstr("at most 16 heads"));
  EXPECT_THAT(refused("geometry-lchs", "5/255/64"), HasSubstr("63 sectors"));
  EXPECT_THAT(refused("colour", "red"), HasSubstr("no such value"));
  EXPECT_THAT(set(file, {{"comment", "a\"b"}}).error().message(), HasSubstr("without quotes"));
  EXPECT_THAT(set(file, {{"comment", "a\xff"}}).error().message(), HasSubstr("UTF-8"));
  EXPECT_THAT(set(file, {{"comment", std::string(1024, 'x')}}).error().message(),
              HasSubstr("at most 1023"));
  EXPECT_TRUE(test::read_text(*file, 0, 16384) == before);
}

TEST(VmdkMetadata, InAnotherEncodingTakesOnlyWhatAllEncodingsHave) {
  const auto file = VmdkBuilder{.more_lines = "encoding=\"windows-1252\"\n"}.file();
  EXPECT_TRUE(set(file, {{"comment", "plain"}}));
  EXPECT_EQ(set(file, {{"comment", "\xc3\xa4"}}).error().code(), Errc::unsupported);
}

TEST(VmdkSetParent, NamesAnotherOneByAllItsIds) {
  const auto file =
      VmdkBuilder{.more_lines = "parentFileNameHint=\"old.vmdk\"\n",
                  .more_ddb = "ddb.uuid.parent=\"11111111-2222-4333-8444-555555555555\"\n"}
          .file();
  Epochs epochs;
  const Uuid id = *Uuid::parse("21111111-2222-4333-8444-555555555555");
  const auto image = test::open_writable_vmdk(file, epochs, {}, true);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->set_parent(
      {.reference = "new.vmdk", .format = "vmdk", .uuid = id, .content_id = "00000007"}));
  EXPECT_EQ(info_of(file).parent->reference, "new.vmdk");
  EXPECT_EQ(info_of(file).parent->content_id, "00000007");
  EXPECT_EQ(info_of(file).parent->uuid, id);
  ASSERT_TRUE((*image)->set_parent({.reference = "qemus.vmdk", .content_id = "00000008"}));
  EXPECT_FALSE(info_of(file).parent->uuid);
  for (const ParentLink& link :
       {ParentLink{.reference = "a", .format = "vdi", .content_id = "1"},
        ParentLink{.reference = "a", .mtime_s = 1},
        ParentLink{.reference = "a\"", .content_id = "1"}, ParentLink{.content_id = "1"}}) {
    EXPECT_EQ((*image)->set_parent(link).error().code(), Errc::unsupported);
  }
}

TEST(VmdkSetParent, NamesOneWhateverItHolds) {
  const auto file = VmdkBuilder{.more_lines = "parentFileNameHint=\"old.vmdk\"\n"}.file();
  Epochs epochs;
  const Uuid id = *Uuid::parse("21111111-2222-4333-8444-555555555555");
  const auto image = test::open_writable_vmdk(file, epochs, {}, true);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->set_parent({.reference = "new.vmdk", .format = "vmdk", .uuid = id}));
  const ParentLink link = *info_of(file).parent;
  EXPECT_EQ(link.reference, "new.vmdk");
  EXPECT_EQ(link.uuid, id);
  EXPECT_EQ(link.content_id, "");
  EXPECT_FALSE(link.modification_uuid);
}

TEST(VmdkDropParent, LeavesNothingThatNamesIt) {
  const auto file =
      VmdkBuilder{.more_lines = "parentFileNameHint=\"old.vmdk\"\n",
                  .more_ddb = "ddb.uuid.parent=\"11111111-2222-4333-8444-555555555555\"\n"}
          .file();
  Epochs epochs;
  auto image = test::open_writable_vmdk(file, epochs, {}, true);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->drop_parent());
  EXPECT_FALSE(info_of(file).parent);
  image = test::open_writable_vmdk(file, epochs, {}, true);
  EXPECT_EQ((*image)->drop_parent().error().code(), Errc::unsupported);
}

TEST(VmdkSetParent, NeedsAChild) {
  Epochs epochs;
  const auto image = test::open_writable_vmdk(VmdkBuilder{}.file(), epochs, {}, true);
  EXPECT_EQ((*image)->set_parent({.reference = "a", .content_id = "1"}).error().code(),
            Errc::unsupported);
}

TEST(VmdkInfo, TellsWhatTheDescriptorHas) {
  const auto file =
      VmdkBuilder{.flags = 3,
                  .more_lines = "changeTrackPath=\"x-ctk.vmdk\"\nisNativeSnapshot=\"no\"\n",
                  .more_ddb =
                      "ddb.adapterType = \"lsilogic\"\nddb.longContentID = \"abc\"\n"
                      "ddb.uuid = \"60 00 C2 9e 91 a4 8c 3c-5d 21 0b 0f 2c 8e 5a 11\"\n"}
          .file();
  std::map<std::string, std::string> details;
  for (const auto& [key, value] : info_of(file).details) {
    if (const auto* text = std::get_if<std::string>(&value)) details[key] = *text;
  }
  EXPECT_EQ(details["create_type"], "monolithicSparse");
  EXPECT_EQ(details["cid"], "0a1b2c3d");
  EXPECT_EQ(details["parent_cid"], "ffffffff");
  EXPECT_EQ(details["adapter_type"], "lsilogic");
  EXPECT_EQ(details["changed_blocks"], "x-ctk.vmdk");
  EXPECT_EQ(details["long_content_id"], "abc");
  EXPECT_EQ(details["extent_1"], "RW 75 SPARSE \"any.vmdk\" (grains of 4 KiB, redundant tables)");
}

}  // namespace
}  // namespace platter::vmdk
