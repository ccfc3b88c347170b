// Names in descriptors, of every system and encoding.
#include "formats/vmdk/file_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace platter::vmdk {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(VmdkFileNames, AreTriedAsTheyStandAndByTheirLastPart) {
  EXPECT_THAT(references("disk-s001.vmdk", ""), ElementsAre("disk-s001.vmdk"));
  EXPECT_THAT(references("../base/b.vmdk", ""), ElementsAre("../base/b.vmdk", "b.vmdk"));
  EXPECT_THAT(references("/vmfs/volumes/4f/b.vmdk", ""),
              ElementsAre("/vmfs/volumes/4f/b.vmdk", "b.vmdk"));
  EXPECT_THAT(references("", ""), IsEmpty());
}

TEST(VmdkFileNames, OfWindowsGiveTheirLastPart) {
  EXPECT_THAT(references("C:\\VMs\\base.vmdk", ""), ElementsAre("base.vmdk"));
  EXPECT_THAT(references("d:base.vmdk", ""), ElementsAre("base.vmdk"));
  EXPECT_THAT(references("\\\\host\\share\\base.vmdk", ""), ElementsAre("base.vmdk"));
  EXPECT_THAT(references("sub\\base.vmdk", ""),
              ElementsAre("sub/base.vmdk", "sub\\base.vmdk", "base.vmdk"));
}

TEST(VmdkFileNames, AreDecoded) {
  EXPECT_THAT(references("\xc4\x80\x9f.vmdk", "windows-1252"),
              ElementsAre("\xc3\x84\xe2\x82\xac\xc5\xb8.vmdk"));
  EXPECT_THAT(references("\xb4\xc5.vmdk", "GBK"), ElementsAre("\xe7\xa3\x81.vmdk"));
  EXPECT_THAT(references("\xc3\xa4.vmdk", "UTF-8"), ElementsAre("\xc3\xa4.vmdk"));
}

// A text that was written again in another encoding than it says.
TEST(VmdkFileNames, ThatAreUtf8AlreadyAreTriedSo) {
  EXPECT_THAT(references("\xc3\xa4.vmdk", "windows-1252"),
              ElementsAre("\xc3\x83\xc2\xa4.vmdk", "\xc3\xa4.vmdk"));
}

TEST(VmdkFileNames, ThatAreNoTextInTheirEncodingStayAsTheyAre) {
  EXPECT_EQ(as_utf8("a\x81", "windows-1252"), "a\x81");
  EXPECT_EQ(as_utf8("a\xff", "GBK"), "a\xff");
  EXPECT_EQ(as_utf8("abc", "no-such-encoding"), "abc");
}

}  // namespace
}  // namespace platter::vmdk
