#include "formats/vhd/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vhd/vhd_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhd {
namespace {

using test::VhdBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kNew = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const Uuid kOldParent = *Uuid::parse("01020304-0506-4708-890a-0b0c0d0e0f10");

VhdBuilder named_child() {
  VhdBuilder b{.type = 4, .parent_uuid = kOldParent, .parent_name = "old.vhd"};
  b.locators = {{.code = "W2ku", .text = test::utf16le("C:\\old.vhd")},
                {.code = "W2ru", .text = test::utf16le(".\\old.vhd")}};
  b.blocks = {{.bits = {0x80}, .first = 5}};
  return b.point({0, -1});
}

Result<void> set(const FilePtr& file, const Metadata& values) {
  Epochs epochs;
  const ImagePtr image = TRY(test::open_writable_vhd(file, epochs, true));
  return image->set_metadata(values);
}

Result<void> rename_parent(const FilePtr& file, const ParentLink& parent) {
  Epochs epochs;
  const ImagePtr image = TRY(test::open_writable_vhd(file, epochs, true));
  return image->set_parent(parent);
}

ParentLink new_parent() {
  return {.reference = "sub/new.vhd",
          .format = "vhd",
          .uuid = Uuid::parse(kNew),
          .mtime_s = kEpoch + 77};
}

ImageInfo info_of(const FilePtr& file) {
  const auto image = test::open_vhd(file);
  EXPECT_TRUE(image);
  return image ? (*image)->info() : ImageInfo();
}

TEST(VhdSet, GivesAnotherUuid) {
  for (const uint32_t type : {2u, 3u, 4u}) {
    VhdBuilder b{.type = type, .fixed = {1, 2}};
    b.point({-1});
    const auto file = b.file();
    ASSERT_TRUE(set(file, {{"uuid", kNew}}));
    EXPECT_EQ(info_of(file).uuid->to_string(), kNew);
    EXPECT_THAT(info_of(file).warnings, IsEmpty());
  }
}

TEST(VhdSet, GivesAnotherParentId) {
  const auto file = named_child().file();
  ASSERT_TRUE(set(file, {{"parent-uuid", kNew}, {"uuid", "random"}}));
  EXPECT_EQ(info_of(file).parent->uuid->to_string(), kNew);
  EXPECT_THAT(info_of(file).warnings, IsEmpty());
  EXPECT_EQ(test::sectors_of_vhd(file)[0], 5);
}

TEST(VhdSet, GivesAnotherGeometry) {
  const auto file = VhdBuilder{}.point({-1}).file();
  ASSERT_TRUE(set(file, {{"geometry-pchs", "3/16/63"}}));
  EXPECT_EQ(info_of(file).pchs->cylinders, 3u);
  EXPECT_EQ(info_of(file).pchs->sectors, 63u);
  for (const char* wrong : {"0/1/1", "1/0/1", "1/1/256", "65536/1/1", "1/1", "x"}) {
    EXPECT_EQ(set(file, {{"geometry-pchs", wrong}}).error().code(), Errc::invalid) << wrong;
  }
}

TEST(VhdSet, AGeometryThatIsTheSizeStaysSo) {
  VhdBuilder b{.creator = "qemu", .cylinders = 2, .heads = 2, .track = 2};
  b.disk_size = 8 * 512;
  const auto file = b.point({-1}).file();
  EXPECT_EQ(set(file, {{"geometry-pchs", "3/2/1"}}).error().code(), Errc::invalid);
  EXPECT_TRUE(set(file, {{"geometry-pchs", "4/2/1"}}));
}

TEST(VhdSet, AllOrNothing) {
  const auto file = named_child().file();
  const auto before = test::bytes_of_vhd(*file);
  EXPECT_FALSE(set(file, {{"uuid", kNew}, {"comment", "x"}}));
  EXPECT_FALSE(set(file, {{"uuid", "00000000-0000-0000-0000-000000000000"}}));
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
}

TEST(VhdSet, AFailingCallLeavesAllAsItWasOrIsToBe) {
  for (uint64_t n = 1;; ++n) {
    const auto memory = named_child().file();
    test::FailAt fail(n, EIO);
    const auto file = std::make_shared<test::WrappedFile>(memory, fail.hook());
    const auto done = set(file, {{"parent-uuid", kNew}, {"uuid", kNew}});
    if (!fail.fired()) break;
    EXPECT_FALSE(done);
    const ImageInfo info = info_of(memory);
    EXPECT_EQ(info.uuid->to_string() == kNew, info.parent->uuid->to_string() == kNew) << n;
  }
}

TEST(VhdSet, RefusesWhatItDoesNotKeep) {
  const auto file = VhdBuilder{}.point({-1}).file();
  for (const char* key : {"comment", "parent-uuid", "modification-uuid", "geometry-lchs"}) {
    EXPECT_EQ(set(file, {{key, kNew}}).error().code(), Errc::unsupported) << key;
  }
}

TEST(VhdSet, RefusesADamagedImage) {
  VhdBuilder b = named_child();
  b.words32 = {{512 + 36, 1}};
  EXPECT_EQ(set(b.file(), {{"uuid", kNew}}).error().code(), Errc::read_only);
}

TEST(VhdSetParent, NamesAnotherOne) {
  const auto file = named_child().file();
  ASSERT_TRUE(rename_parent(file, new_parent()));
  const ImageInfo info = info_of(file);
  EXPECT_EQ(info.parent->reference, "sub/new.vhd");
  EXPECT_THAT(info.parent->other_references, ElementsAre("new.vhd"));
  EXPECT_EQ(info.parent->uuid->to_string(), kNew);
  EXPECT_EQ(info.parent->mtime_s, kEpoch + 77);
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(test::check_vhd(file).messages, IsEmpty());
  EXPECT_EQ(test::sectors_of_vhd(file)[0], 5);
  // And again.
  ASSERT_TRUE(rename_parent(file, {.reference = "../x.vhd", .uuid = kOldParent}));
  EXPECT_EQ(info_of(file).parent->reference, "../x.vhd");
  EXPECT_EQ(test::vhd_word(*file, 20), 512u);  // the header is where it was
}

TEST(VhdSetParent, RefusesWhatAVhdCannotName) {
  const auto file = named_child().file();
  const auto before = test::bytes_of_vhd(*file);
  const auto refused = [&](ParentLink link, const std::string& message) {
    if (!link.uuid) link.uuid = kOldParent;
    const auto done = rename_parent(file, link);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::invalid);
    EXPECT_THAT(done.error().message(), HasSubstr(message));
  };
  refused({.reference = "a.qcow2", .format = "qcow2"}, "a VHD can only have another VHD");
  refused({.reference = "a\\b.vhd"}, "backslashes");
  refused({.reference = "\xff.vhd"}, "not UTF-8");
  refused({.reference = std::string(256, 'x')}, "255 letters");
  refused({.reference = "a.vhd", .uuid = Uuid{}}, "no UUID");
  EXPECT_EQ(test::bytes_of_vhd(*file), before);
  EXPECT_EQ(rename_parent(VhdBuilder{}.point({-1}).file(), new_parent()).error().code(),
            Errc::unsupported);
}

// The header is two sectors: whichever of them a power cut keeps, one header is whole.
TEST(VhdSetParent, IsTheOldOneOrTheNewOneWhenPowerIsLost) {
  VhdBuilder b = named_child();
  b.parent_name = std::string(255, 'o');  // in both sectors
  const auto start = b.file();
  ParentLink parent = new_parent();
  parent.reference = std::string(255, 'n');
  for (uint64_t seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    const auto memory = std::make_shared<test::CrashFile>(*start);
    const auto look = [&](test::Call call) -> Result<void> {
      if (call == test::Call::read) return {};
      const auto after = memory->crash(random);
      const ImageInfo info = info_of(after);
      const bool is_new = info.parent && info.parent->uuid == parent.uuid;
      EXPECT_TRUE(info.parent && (is_new || info.parent->uuid == kOldParent));
      if (!info.parent) return {};
      EXPECT_EQ(info.parent->reference, is_new ? parent.reference : "old.vhd");
      EXPECT_EQ(test::check_vhd(after).corruptions, 0u);
      EXPECT_EQ(test::sectors_of_vhd(after)[0], 5);
      return {};
    };
    ASSERT_TRUE(rename_parent(std::make_shared<test::WrappedFile>(memory, look), parent));
    EXPECT_EQ(info_of(memory->crash(random)).parent->uuid, parent.uuid);
    ASSERT_FALSE(HasFailure()) << seed;
  }
}

TEST(VhdSet, IsDurableAndOldOrNewWhenPowerIsLost) {
  for (const uint32_t type : {2u, 3u}) {
    VhdBuilder b{.type = type, .fixed = {1, 2}};
    b.point({-1});
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::mt19937_64 random(seed);
      const auto memory = std::make_shared<test::CrashFile>(*b.file());
      const auto look = [&](test::Call) -> Result<void> {
        const auto uuid = info_of(memory->crash(random)).uuid;
        EXPECT_TRUE(uuid == b.uuid || uuid == Uuid::parse(kNew));
        return {};
      };
      ASSERT_TRUE(set(std::make_shared<test::WrappedFile>(memory, look), {{"uuid", kNew}}));
      EXPECT_EQ(info_of(memory->crash(random)).uuid, Uuid::parse(kNew));
    }
  }
}

// In the file there is something in those sectors, too.
TEST(VhdDropParent, LeavesZeroesWhereTheParentsSectorsWere) {
  const auto file = named_child().file();
  Epochs epochs;
  auto image = test::open_writable_vhd(file, epochs, true);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->drop_parent());
  const ImageInfo info = info_of(file);
  EXPECT_FALSE(info.parent);
  EXPECT_EQ(info.variant, "dynamic");
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(test::check_vhd(file).messages, IsEmpty());
  const std::vector<int> sectors = test::sectors_of_vhd(file);
  EXPECT_EQ(sectors.front(), 5);
  EXPECT_EQ(std::count(sectors.begin(), sectors.end(), 0), sectors.size() - 1);
  EXPECT_EQ(test::vhd_word(*file, 20), 512u);  // the header is where it was
  image = test::open_writable_vhd(file, epochs, true);
  EXPECT_EQ((*image)->drop_parent().error().code(), Errc::unsupported);
}

TEST(VhdDropParent, AFailingCallLeavesAChildOrNone) {
  for (uint64_t n = 1;; ++n) {
    const auto memory = named_child().file();
    test::FailAt fail(n, EIO);
    Epochs epochs;
    auto image = test::open_writable_vhd(std::make_shared<test::WrappedFile>(memory, fail.hook()),
                                         epochs, true);
    const bool done = image && (*image)->drop_parent();
    if (!fail.fired()) break;
    const ImageInfo info = info_of(memory);
    EXPECT_FALSE(done && info.parent) << n;
    EXPECT_EQ(info.variant, info.parent ? "differencing" : "dynamic") << n;
    EXPECT_EQ(test::sectors_of_vhd(memory)[0], 5) << n;
  }
}

}  // namespace
}  // namespace platter::vhd
