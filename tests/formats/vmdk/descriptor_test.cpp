// Descriptors as programs write them, and as they should not be.
#include "formats/vmdk/descriptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/vmdk_builder.h"

namespace platter::vmdk {
namespace {

using testing::HasSubstr;
using Access = ExtentLine::Access;

Descriptor parsed(const std::string& text) {
  auto descriptor = Descriptor::parse(text);
  EXPECT_TRUE(descriptor) << descriptor.error().message();
  return descriptor ? *std::move(descriptor) : Descriptor();
}

std::string extent_refused(const std::string& extent) {
  const auto descriptor = Descriptor::parse("version=1\n" + extent + "\n");
  return descriptor ? "" : descriptor.error().message();
}

TEST(VmdkDescriptor, IsReadWithCrlfBlanksAndAnyCase) {
  const Descriptor d = parsed(
      "# Disk DescriptorFile\r\n\r\nVersion = 1 \r\n CID=A1B \r\nparentCID=ffffffff\r\n"
      "CREATETYPE=\"vmfs\" \r\nrw 16 vmfs \"a b.vmdk\" \r\n\tddb.adapterType\t=\t\"ide\"\r\n");
  EXPECT_EQ(d.hex_value("cid"), "00000a1b");
  EXPECT_EQ(d.value("createType"), "vmfs");
  EXPECT_EQ(d.value("DDB.adaptertype"), "ide");
  ASSERT_EQ(d.extents().size(), 1u);
  EXPECT_EQ(d.extents()[0].type, "VMFS");
  EXPECT_EQ(d.extents()[0].file, "a b.vmdk");
  EXPECT_EQ(d.disk_size(), 16u * 512);
}

// "CID" is the end of "parentCID".
TEST(VmdkDescriptor, AKeyIsNotThePartOfAnother) {
  Descriptor d = parsed("version=1\nparentCID=11111111\nCID=22222222\nRW 1 ZERO\n");
  EXPECT_EQ(d.hex_value("CID"), "22222222");
  d.set("CID", "33333333");
  EXPECT_EQ(d.hex_value("parentCID"), "11111111");
  EXPECT_EQ(d.hex_value("CID"), "33333333");
}

TEST(VmdkDescriptor, ExtentsOfEveryKind) {
  const Descriptor d = parsed(
      "version=1\nRW 63 FLAT \"pt.vmdk\" 5\nRDONLY 9 FLAT \"x\"\nNOACCESS 7 ZERO\n"
      "RW 3 SPARSE \"s.vmdk\" 0 partition device\n");
  ASSERT_EQ(d.extents().size(), 4u);
  EXPECT_EQ(d.extents()[0].offset, 5u);
  EXPECT_EQ(d.extents()[1].access, Access::read_only);
  EXPECT_EQ(d.extents()[1].offset, 0u);
  EXPECT_EQ(d.extents()[2].access, Access::none);
  EXPECT_EQ(d.extents()[2].file, "");
  EXPECT_EQ(d.disk_size(), (63u + 9 + 7 + 3) * 512);
}

TEST(VmdkDescriptor, EndsWithItsFirstNul) {
  const std::string text("version=1\nRW 1 ZERO\n\0RW 1 ZERO\n", 30);
  EXPECT_EQ(parsed(text).extents().size(), 1u);
}

TEST(VmdkDescriptor, OtherTextsAreNone) {
  EXPECT_TRUE(Descriptor::is_one("# Disk DescriptorFile\nversion=1\n"));
  EXPECT_TRUE(Descriptor::is_one("\n# comment\n  VERSION = 3\n"));
  for (const char* text : {"", "# only\n# comments\n", "versions=1\n", "version\n", "version=x\n",
                           "cid=1\nversion=1\n", "#!/bin/sh\necho version=1\n"}) {
    EXPECT_FALSE(Descriptor::is_one(text)) << text;
  }
}

TEST(VmdkDescriptor, LaterVersionsAreRefused) {
  EXPECT_EQ(Descriptor::parse("version=4\nRW 1 ZERO\n").error().code(), Errc::unsupported);
  EXPECT_EQ(Descriptor::parse("version=0\nRW 1 ZERO\n").error().code(), Errc::unsupported);
  EXPECT_TRUE(Descriptor::parse("version=3\nRW 1 ZERO\n"));
}

TEST(VmdkDescriptor, RefusesExtentsThatCannotBe) {
  EXPECT_THAT(extent_refused("RW"), HasSubstr("extent 0: has no size"));
  EXPECT_THAT(extent_refused("RW 0 ZERO"), HasSubstr("has no size"));
  EXPECT_THAT(extent_refused("RW -5 ZERO"), HasSubstr("has no size"));
  EXPECT_THAT(extent_refused("RW 99999999999999999999 ZERO"), HasSubstr("has no size"));
  EXPECT_THAT(extent_refused("RW 18014398509481984 ZERO"), HasSubstr("too large"));
  EXPECT_THAT(extent_refused("RW 18014398509481983 ZERO\nRW 1 ZERO"),
              HasSubstr("extent 1: is too large"));
  EXPECT_THAT(extent_refused("RW 5"), HasSubstr("has no type"));
  EXPECT_THAT(extent_refused("RW 5 FLAT name 0"), HasSubstr("without quotes"));
  EXPECT_THAT(extent_refused("RW 5 FLAT \"name 0"), HasSubstr("without quotes"));
  EXPECT_THAT(extent_refused("RW 5 FLAT \"name\" x"), HasSubstr("an offset that cannot be"));
  EXPECT_THAT(extent_refused("RW 5 FLAT \"name\" 36028797018963968"), HasSubstr("an offset"));
  EXPECT_THAT(extent_refused(""), HasSubstr("names no extent"));
}

TEST(VmdkDescriptor, RefusesTooManyExtents) {
  std::string text = "version=1\n";
  for (size_t i = 0; i < Descriptor::kMaxExtents; ++i) text += "RW 1 ZERO\n";
  EXPECT_TRUE(Descriptor::parse(text));
  EXPECT_EQ(Descriptor::parse(text + "RW 1 ZERO\n").error().code(), Errc::unsupported);
}

TEST(VmdkDescriptor, KeepsWhatItDoesNotKnowWhenItChanges) {
  const std::string text =
      "# Disk DescriptorFile\r\nversion=1\r\nstrange thing\r\nCID=00000001 \r\nfoo.bar = \"x\"\r\n"
      "RW 10 SPARSE \"s.vmdk\" \r\n# note\r\nddb.x=\"1\"";
  Descriptor d = parsed(text);
  EXPECT_EQ(d.text(), text);
  d.set("cid", "abcdef01");
  d.set_sectors(0, 1234);
  d.set("foo.bar", "longer");
  EXPECT_EQ(d.text(),
            "# Disk DescriptorFile\r\nversion=1\r\nstrange thing\r\nCID=abcdef01 \r\n"
            "foo.bar = \"longer\"\r\nRW 1234 SPARSE \"s.vmdk\" \r\n# note\r\nddb.x=\"1\"");
  EXPECT_EQ(d.disk_size(), 1234u * 512);
}

TEST(VmdkDescriptor, NewKeysGoWhereOtherProgramsLookForThem) {
  Descriptor d = parsed("version=1\nCID=1\n\n# Extents\nRW 1 ZERO\n\n#DDB\nddb.x = \"1\"");
  d.set("ddb.y", "2");
  d.set("parentFileNameHint", "p.vmdk");
  EXPECT_EQ(d.text(),
            "version=1\nCID=1\nparentFileNameHint=\"p.vmdk\"\n\n# Extents\nRW 1 ZERO\n\n#DDB\n"
            "ddb.x = \"1\"\nddb.y = \"2\"\n");
  d.set_sectors(0, 5);
  d.remove("ddb.x");
  d.remove("cid");
  d.remove("no.such");
  d.set_sectors(0, 7);
  EXPECT_EQ(d.text(),
            "version=1\nparentFileNameHint=\"p.vmdk\"\n\n# Extents\nRW 7 ZERO\n\n#DDB\n"
            "ddb.y = \"2\"\n");
}

TEST(VmdkDescriptor, AnEmptyValueCanBeSet) {
  Descriptor d = parsed("version=1\na=\"\"\nb=\nRW 1 ZERO\n");
  EXPECT_EQ(d.value("a"), "");
  EXPECT_EQ(d.value("b"), "");
  d.set("a", "1");
  d.set("b", "2");
  EXPECT_EQ(d.text(), "version=1\na=\"1\"\nb=\"2\"\nRW 1 ZERO\n");
}

TEST(VmdkDescriptor, ValuesThatAreNoneOfTheirKindAreNotThere) {
  const Descriptor d = parsed(
      "version=1\nCID=xyz\nddb.uuid.image=\"no\"\nddb.uuid.parent="
      "\"00000000-0000-0000-0000-000000000000\"\nddb.geometry.cylinders=\"0\"\n"
      "ddb.geometry.heads=\"16\"\nddb.geometry.sectors=\"63\"\nRW 1 ZERO\n");
  EXPECT_FALSE(d.hex_value("CID"));
  EXPECT_FALSE(d.uuid_value("ddb.uuid.image"));
  EXPECT_FALSE(d.uuid_value("ddb.uuid.parent"));
  EXPECT_FALSE(d.geometry("cylinders", "heads", "sectors"));
  EXPECT_FALSE(d.geometry("biosCylinders", "biosHeads", "biosSectors"));
}

}  // namespace
}  // namespace platter::vmdk
