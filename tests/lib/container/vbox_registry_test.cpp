// Parents that only the .vbox file of their machine says the place of; and files that say too much.
#include "lib/container/vbox_registry.h"

#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/xml.h"
#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/create.h"
#include "tests/support/temp_dir.h"
#include "tests/support/vdi_builder.h"

namespace platter {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kParent = "{11111111-2222-4333-8444-5555555555aB}";
constexpr auto kParentChanged = "21111111-2222-4333-8444-555555555555";

std::string entry(std::string_view uuid, std::string_view location, std::string_view format,
                  std::string_view children = "") {
  return fmt::format(R"(<HardDisk uuid="{}" location="{}" format="{}" type="Normal">{}</HardDisk>)",
                     uuid, location, format, children);
}

std::string vbox(std::string_view disks) {
  return fmt::format(R"(<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
  <Machine uuid="{{00000000-2222-4333-8444-555555555555}}" name="m" snapshotFolder="Snapshots">
    <MediaRegistry><HardDisks>{}</HardDisks><DVDImages/></MediaRegistry>
  </Machine>
</VirtualBox>)",
                     disks);
}

// A machine's directory as VirtualBox lays it out, but for where the parent is.
class VboxRegistry : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"m", "m/Snapshots", "m/disks", "outside"}) {
      std::filesystem::create_directory(dir_ / name);
    }
    put("m/Snapshots/child.vdi", {.type = 4,
                                  .map = {VdiBuilder::kFree, 0},
                                  .uuid = *Uuid::parse(kOther),
                                  .parent_uuid = *Uuid::parse(kParent),
                                  .parent_modification_uuid = *Uuid::parse(kParentChanged),
                                  .data = {0x33}});
  }
  void put(const std::string& name, const VdiBuilder& builder) {
    test::write_file(dir_ / name, Bytes(builder.build()));
  }
  void put_parent(const std::string& name) {
    put(name, {.map = {0, 1},
               .uuid = *Uuid::parse(kParent),
               .modification_uuid = *Uuid::parse(kParentChanged),
               .data = {0x11, 0x22}});
  }
  void put_vbox(const std::string& disks, const std::string& name = "m/m.vbox") {
    test::write_file(dir_ / name, vbox(disks));
  }

  Result<std::unique_ptr<Container>> open(References references = References::beside) {
    return Container::open(dir_ / "m/Snapshots/child.vdi", {.references = references});
  }
  // The file of the parent, or why there is none.
  std::string parent(References references = References::beside) {
    const auto container = open(references);
    if (!container) return container.error().message();
    return std::filesystem::canonical((*container)->chain().at(1).path);
  }

  static constexpr auto kOther = "31111111-2222-4333-8444-555555555555";
  const test::TempDir dir_;
};

TEST_F(VboxRegistry, SaysWhereAParentIsThatIsNotBesideItsChild) {
  put_parent("m/disks/base.vdi");
  EXPECT_THAT(parent(), HasSubstr("is not beside it"));
  put_vbox(entry(kOther, "Snapshots/child.vdi", "VDI") +
           entry(kOther, "x.vdi", "VDI", entry(kParent, "disks/base.vdi", "VDI")));
  EXPECT_EQ(parent(), dir_ / "m/disks/base.vdi");
  const auto container = open();
  std::byte first{};
  ASSERT_TRUE((*container)->live()->read(0, MutableBytes(&first, 1)));
  EXPECT_EQ(std::to_integer<int>(first), 0x11);
  EXPECT_THAT((*container)->chain().front().warnings, IsEmpty());
}

TEST_F(VboxRegistry, IsReadWhereItLiesBesideTheImageToo) {
  put_parent("m/Snapshots/deeper.img");
  put_vbox(entry(kParent, "deeper.img", "vdi"), "m/Snapshots/old.vbox");
  EXPECT_EQ(parent(), dir_ / "m/Snapshots/deeper.img");
}

TEST_F(VboxRegistry, MayHaveBeenWrittenOnWindows) {
  put_parent("m/disks/base.vdi");
  put_vbox(entry(kParent, R"(disks\base.vdi)", "VDI"));
  EXPECT_EQ(parent(), dir_ / "m/disks/base.vdi");
}

TEST_F(VboxRegistry, KnowsParentsOfOtherFormats) {
  ASSERT_TRUE(
      create_image({.path = dir_ / "m/base.vmdk", .format = *find_format("vmdk"), .size = MiB}));
  const auto base = Container::open(dir_ / "m/base.vmdk");
  ASSERT_TRUE(base);
  const ImageInfo& info = (*base)->info();
  ASSERT_TRUE(info.uuid && info.modification_uuid);
  put("m/Snapshots/child.vdi", {.type = 4,
                                .map = {VdiBuilder::kFree},
                                .uuid = *Uuid::parse(kOther),
                                .parent_uuid = *info.uuid,
                                .parent_modification_uuid = *info.modification_uuid});
  EXPECT_THAT(parent(), HasSubstr("the vdi with the id"));
  put_vbox(entry(info.uuid->to_string(), "base.vmdk", "VMDK"));
  EXPECT_EQ(parent(), dir_ / "m/base.vmdk");
}

TEST_F(VboxRegistry, IsNotBelievedWhatTheFileItselfDoesNotSay) {
  put("m/disks/base.vdi", {.map = {0, 1}, .uuid = *Uuid::parse(kOther), .data = {1, 2}});
  test::write_file(dir_ / "m/disks/base.raw", std::string(1 << 16, 'x'));
  put_vbox(entry(kParent, "disks/base.vdi", "VDI"));
  EXPECT_THAT(parent(), HasSubstr("is not beside it"));
  put_vbox(entry(kParent, "disks/base.raw", "RAW"));
  EXPECT_THAT(parent(), HasSubstr("is not beside it"));
  put_vbox(entry(kParent, "disks/base.vdi", "no such format"));
  EXPECT_THAT(parent(), HasSubstr("is not beside it"));
  // A parent that was changed since stays what it is.
  put("m/disks/base.vdi", {.map = {0, 1}, .uuid = *Uuid::parse(kParent), .data = {1, 2}});
  put_vbox(entry(kParent, "disks/base.vdi", "VDI"));
  EXPECT_THAT(parent(), HasSubstr("was changed after this image was made"));
}

TEST_F(VboxRegistry, LeadsNoFurtherThanTheImageItselfMay) {
  put_parent("outside/base.vdi");
  for (const std::string& location : {std::string("../outside/base.vdi"), dir_ / "outside/base.vdi",
                                      std::string("disks/link.vdi")}) {
    std::filesystem::remove(dir_ / "m/disks/link.vdi");
    std::filesystem::create_symlink("../../outside/base.vdi", dir_ / "m/disks/link.vdi");
    put_vbox(entry(kParent, location, "VDI"));
    const std::string refusal = parent();
    EXPECT_THAT(refusal, HasSubstr("m.vbox: names ")) << location;
    EXPECT_THAT(refusal, HasSubstr("references=any would allow it")) << location;
    EXPECT_EQ(parent(References::any), dir_ / "outside/base.vdi") << location;
    EXPECT_THAT(parent(References::none), HasSubstr("is not beside it"));
  }
}

TEST_F(VboxRegistry, NamesNoDeviceNoProtocolAndNotTheChildItself) {
  for (const char* location :
       {"/dev/zero", "nbd:localhost:1", "json:{}", "", ".", "Snapshots", "Snapshots/child.vdi"}) {
    put_vbox(entry(kParent, location, "VDI"));
    EXPECT_NE(parent(References::any).find("child.vdi: "), std::string::npos) << location;
  }
}

TEST_F(VboxRegistry, ThatCannotBeReadIsPassedOverWithAWarning) {
  put_parent("m/disks/base.vdi");
  const std::string right = entry(kParent, "disks/base.vdi", "VDI");
  std::string deep, entities = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\">";
  for (int i = 0; i < 300; ++i) deep += "<HardDisk>";
  for (int i = 0; i < 300; ++i) deep += "</HardDisk>";
  for (char c = 'b'; c < 'z'; ++c) {
    const char before = static_cast<char>(c - 1);
    entities += fmt::format("<!ENTITY {} \"&{};&{};\">", c, before, before);
  }
  std::string many;
  for (int i = 0; i < 140'000; ++i) many += "<HardDisk/>";
  put_vbox(right, "m/z.vbox");
  for (const std::string& wrong : {vbox(deep + right), entities + "]><VirtualBox>&y;</VirtualBox",
                                   vbox(many + right), std::string("<Machine/>"), std::string(),
                                   std::string(100, '\0'), vbox(right).substr(0, 400)}) {
    test::write_file(dir_ / "m/m.vbox", wrong);
    const auto container = open();
    ASSERT_TRUE(container) << container.error().message();
    EXPECT_THAT((*container)->chain().front().warnings,
                ElementsAre(HasSubstr("m.vbox is passed over: ")));
  }
  std::filesystem::remove(dir_ / "m/z.vbox");
  EXPECT_THAT(parent(), HasSubstr("m.vbox is passed over: "));
  std::filesystem::resize_file(dir_ / "m/m.vbox", kMaxXmlSize + 1);
  EXPECT_THAT(parent(), HasSubstr("more than 16 MiB"));
}

TEST_F(VboxRegistry, OfManyOnlySomeAreReadForOneParent) {
  put_parent("m/disks/base.vdi");
  put_vbox(entry(kParent, "disks/base.vdi", "VDI"), "m/zz.vbox");
  for (int i = 0; i < 16; ++i) put_vbox("", fmt::format("m/{:02}.vbox", i));
  EXPECT_THAT(parent(), HasSubstr("is not beside it"));
  std::filesystem::remove(dir_ / "m/00.vbox");
  EXPECT_EQ(parent(), dir_ / "m/disks/base.vdi");
}

}  // namespace
}  // namespace platter
