#include "formats/vhd/parent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhd/utf16.h"
#include "tests/formats/vhd/vhd_disk.h"
#include "tests/support/bytes.h"

namespace platter::vhd {
namespace {

using test::open_vhd;
using test::utf16le;
using test::VhdBuilder;
using testing::ElementsAre;
using testing::IsEmpty;

const Uuid kParent = *Uuid::parse("01020304-0506-4708-890a-0b0c0d0e0f10");

VhdBuilder child() {
  VhdBuilder b{.type = 4, .parent_uuid = kParent};
  return b.point({-1, -1});
}

ParentLink link_of(VhdBuilder b) {
  b.point({-1, -1});
  const auto image = open_vhd(b.file());
  EXPECT_TRUE(image) << image.error().message();
  return image && (*image)->info().parent ? *(*image)->info().parent : ParentLink{};
}

// All names, in the order they are tried.
std::vector<std::string> names_of(const VhdBuilder& b) {
  const ParentLink link = link_of(b);
  std::vector<std::string> names;
  if (!link.reference.empty()) names.push_back(link.reference);
  names.insert(names.end(), link.other_references.begin(), link.other_references.end());
  return names;
}

std::string relative_to(const std::string& path) {
  VhdBuilder b = child();
  b.locators = {{.code = "W2ru", .text = utf16le(path)}};
  const auto names = names_of(b);
  return names.empty() ? "" : names[0];
}

TEST(VhdParent, IsKnownByItsIdAndTimeAndIsAVhd) {
  VhdBuilder b = child();
  b.parent_changed = 100;
  const ParentLink link = link_of(b);
  EXPECT_EQ(link.uuid, kParent);
  EXPECT_EQ(link.mtime_s, 946684900);
  EXPECT_EQ(link.format, "vhd");
  EXPECT_FALSE(link_of(child()).mtime_s);
}

TEST(VhdParent, NamesAreTriedInTheirOrderAndOnce) {
  VhdBuilder b = child();
  b.parent_name = "name.vhd";
  b.locators = {{.code = "MacX", .text = "file://localhost/Disks/a%20b.vhd"},
                {.code = "W2ku", .text = utf16le("C:\\disks\\absolute.vhd")},
                {.code = "W2ru", .text = utf16le(".\\relative.vhd")},
                {.code = "Wi2r", .text = ".\\name.vhd"},
                {.code = "Mac ", .text = "an alias"}};
  EXPECT_THAT(names_of(b), ElementsAre("relative.vhd", "name.vhd", "absolute.vhd", "a b.vhd"));
}

TEST(VhdParent, WindowsPathsBecomeOurs) {
  EXPECT_EQ(relative_to(".\\a.vhd"), "a.vhd");
  EXPECT_EQ(relative_to("..\\x\\a.vhd"), "../x/a.vhd");
  EXPECT_EQ(relative_to("a.vhd"), "a.vhd");
  EXPECT_EQ(relative_to(".\\.\\sub\\a.vhd"), "sub/a.vhd");
}

TEST(VhdParent, OfAnAbsolutePathTheLastPartIsLeft) {
  EXPECT_EQ(relative_to("C:\\disks\\a.vhd"), "a.vhd");
  EXPECT_EQ(relative_to("\\\\server\\share\\a.vhd"), "a.vhd");
  EXPECT_EQ(relative_to("/etc/passwd"), "passwd");
  VhdBuilder b = child();
  b.parent_name = "D:\\vms\\a.avhd";
  EXPECT_THAT(names_of(b), ElementsAre("a.avhd"));
}

TEST(VhdParentAttack, NamesThatNameNoFile) {
  for (const char* path : {"", ".", "..", "C:\\", "\\", ".\\", "..\\", "a\\"}) {
    EXPECT_EQ(relative_to(path), "") << path;
  }
  VhdBuilder b = child();
  b.locators = {{.code = "MacX", .text = "file://x/..%2f..%2fetc%2fpasswd"},
                {.code = "MacX", .text = "file://x/a%00b"}};
  EXPECT_THAT(names_of(b), IsEmpty());
}

TEST(VhdParent, TextEndsAtItsNul) {
  using namespace std::string_literals;
  EXPECT_EQ(relative_to(".\\a.vhd\0junk"s), "a.vhd");
}

TEST(VhdUtf16, ReadsWhatIsAndWhatIsNotText) {
  const auto text = [](const char* hex) {
    std::vector<std::byte> bytes;
    for (; *hex != '\0'; hex += 2) {
      bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex, 2), nullptr, 16)));
    }
    return text_of_utf16(bytes, UnitOrder::big);
  };
  EXPECT_EQ(text("006100e4"), "a\xc3\xa4");
  EXPECT_EQ(text("20ac"), "\xe2\x82\xac");
  EXPECT_EQ(text("d83dde00"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(text("d83d0061"),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(text("de00d83d"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(text("006100"), "a");
  EXPECT_EQ(text("00610000"), "a");
  EXPECT_EQ(text(""), "");
}

TEST(VhdUtf16, ComesBackAsItWas) {
  for (const std::string wanted : {"", "a", "\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x98\x80x"}) {
    for (const UnitOrder order : {UnitOrder::little, UnitOrder::big}) {
      const auto bytes = utf16_of(wanted, order);
      ASSERT_TRUE(bytes);
      EXPECT_EQ(text_of_utf16(*bytes, order), wanted);
    }
  }
  EXPECT_FALSE(utf16_of("\xff", UnitOrder::big));
}

}  // namespace
}  // namespace platter::vhd
