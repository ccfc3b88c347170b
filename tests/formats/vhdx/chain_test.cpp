// Differencing images on disk: how the parent is named, found and told from others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "formats/vhdx/locator.h"
#include "lib/container/container.h"
#include "tests/support/temp_dir.h"
#include "tests/support/vhdx_builder.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

using Pairs = std::vector<std::pair<std::string, std::string>>;

const Uuid kOfTheBase = *Uuid::parse("aaaaaaaa-0000-4000-8000-000000000001");
const Uuid kOther = *Uuid::parse("aaaaaaaa-0000-4000-8000-000000000002");

std::string braces(const Uuid& uuid) { return "{" + uuid.to_string() + "}"; }

VhdxBuilder base() {
  VhdxBuilder builder{.data_write = kOfTheBase};
  builder.put_block(0, 0, 0x11);
  builder.put_block(2, 1, 0x22);
  return builder;
}

// Of its four blocks: the parent's, its own, zero, and one that has the first sector.
VhdxBuilder child(Pairs more, const Uuid& parent = kOfTheBase) {
  VhdxBuilder builder{.data_write = Uuid::random(), .parameters = 2};
  builder.locator = {{"parent_linkage", braces(parent)}};
  builder.locator.insert(builder.locator.end(), more.begin(), more.end());
  builder.put_block(1, 0, 0x33);
  builder.bat[2] = 2;
  builder.put_block(3, 1, 0x44, 7);
  builder.bat[4096] = (VhdxBuilder::kData + 2 * MiB) | 6;
  builder.bytes[VhdxBuilder::kData + 2 * MiB + 3 * 256] = {std::byte{1}};
  return builder;
}

class VhdxChain : public testing::Test {
 protected:
  void write(const std::string& name, const VhdxBuilder& builder) {
    const auto file = builder.file();
    std::vector<std::byte> bytes(file->stat()->size);
    ASSERT_TRUE(file->read_exact(0, bytes));
    test::write_file(dir_ / name, Bytes(bytes));
  }

  // The first byte of each block of the disk, and of the second sector of the last one.
  std::vector<int> read(const std::string& name, const ContainerOptions& options = {}) {
    auto container = Container::open(dir_ / name, options);
    if (!container) {
      ADD_FAILURE() << container.error().message();
      return {};
    }
    const View& view = *(*container)->live();
    std::vector<int> firsts;
    for (const uint64_t at : {uint64_t{0}, MiB, 2 * MiB, 3 * MiB, 3 * MiB + 512}) {
      std::byte b{};
      EXPECT_TRUE(view.read(at, MutableBytes(&b, 1)));
      firsts.push_back(std::to_integer<int>(b));
    }
    return firsts;
  }

  std::string refusal(const std::string& name, const ContainerOptions& options = {}) {
    auto container = Container::open(dir_ / name, options);
    return container ? "" : container.error().message();
  }

  test::TempDir dir_;
};

#define IS_THE_DISK ElementsAre(0x11, 0x33, 0, 0x44, 0)

TEST_F(VhdxChain, ComposesBlocksAndSectorsAndHidesTheParentBehindZeroOnes) {
  write("base.vhdx", base());
  write("child.vhdx", child({{"relative_path", ".\\base.vhdx"}}));
  EXPECT_THAT(read("base.vhdx"), ElementsAre(0x11, 0, 0x22, 0, 0));
  EXPECT_THAT(read("child.vhdx"), IS_THE_DISK);
}

TEST_F(VhdxChain, TakesARelativePathOfWindows) {
  std::filesystem::create_directories(dir_ / "a/b");
  write("a/base.vhdx", base());
  write("child.vhdx", child({{"relative_path", "a\\base.vhdx"}}));
  write("a/b/child.vhdx", child({{"relative_path", "..\\base.vhdx"}}));
  EXPECT_THAT(read("child.vhdx"), IS_THE_DISK);
  EXPECT_THAT(refusal("a/b/child.vhdx"), HasSubstr("references=any"));
  EXPECT_THAT(read("a/b/child.vhdx", {.references = References::any}), IS_THE_DISK);
}

TEST_F(VhdxChain, TakesOnlyTheNameOfAnAbsolutePath) {
  write("base.vhdx", base());
  for (const char* path : {"C:\\images\\base.vhdx", "\\\\?\\c:\\images\\base.vhdx",
                           "\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\images\\base.vhdx",
                           "\\\\server\\share\\base.vhdx", "/etc/base.vhdx", "c:base.vhdx"}) {
    for (const char* key : {"relative_path", "volume_path", "absolute_win32_path"}) {
      write("child.vhdx", child({{key, path}}));
      EXPECT_THAT(read("child.vhdx"), IS_THE_DISK) << key << " " << path;
    }
  }
}

TEST_F(VhdxChain, GoesOnToTheNextPathWhenNoneOrAnotherOneIsThere) {
  write("base.vhdx", base());
  auto other = base();
  other.data_write = kOther;
  write("other.vhdx", other);
  write("child.vhdx", child({{"relative_path", "gone\\away.vhdx"},
                             {"volume_path", "\\\\?\\Volume{1}\\other.vhdx"},
                             {"absolute_win32_path", "C:\\base.vhdx"}}));
  EXPECT_THAT(read("child.vhdx"), IS_THE_DISK);
  // Moved beside its child.
  write("child.vhdx", child({{"relative_path", "gone\\base.vhdx"}}));
  EXPECT_THAT(read("child.vhdx"), IS_THE_DISK);
}

TEST_F(VhdxChain, FindsTheParentByItsGuidUnderAnyName) {
  write("renamed.avhdx", base());
  write("child.vhdx", child({{"relative_path", ".\\base.vhdx"}}));
  EXPECT_THAT(read("child.vhdx"), IS_THE_DISK);
}

TEST_F(VhdxChain, RefusesAParentThatWasWritten) {
  auto changed = base();
  changed.data_write = kOther;
  write("base.vhdx", changed);
  write("child.vhdx", child({{"relative_path", ".\\base.vhdx"}}));
  EXPECT_THAT(refusal("child.vhdx"), HasSubstr("was changed after this image was made"));
  // Unless the child knows of it.
  write("child.vhdx",
        child({{"relative_path", ".\\base.vhdx"}, {"parent_linkage2", braces(kOther)}}));
  EXPECT_THAT(read("child.vhdx"), IS_THE_DISK);
}

TEST_F(VhdxChain, RefusesAMissingParent) {
  write("child.vhdx", child({{"relative_path", ".\\base.vhdx"}}));
  EXPECT_THAT(refusal("child.vhdx"), HasSubstr("its parent \"base.vhdx\" is missing"));
  auto nameless = child({});
  nameless.locator = {{"x", "y"}};
  write("child.vhdx", nameless);
  EXPECT_THAT(refusal("child.vhdx"), HasSubstr("parent"));
}

TEST_F(VhdxChain, RefusesALoop) {
  auto loop = child({{"relative_path", ".\\child.vhdx"}}, kOther);
  loop.data_write = kOther;
  write("child.vhdx", loop);
  EXPECT_THAT(refusal("child.vhdx"), HasSubstr("own ancestor"));
}

TEST_F(VhdxChain, GoesThroughSeveralGenerations) {
  write("base.vhdx", base());
  auto middle = child({{"relative_path", ".\\base.vhdx"}});
  middle.data_write = kOther;
  write("middle.vhdx", middle);
  VhdxBuilder top{.parameters = 2};
  top.locator = {{"parent_linkage", braces(kOther)}, {"relative_path", "middle.vhdx"}};
  top.put_block(0, 0, 0x55);
  write("top.vhdx", top);
  EXPECT_THAT(read("top.vhdx"), ElementsAre(0x55, 0x33, 0, 0x44, 0));
}

Pairs pairs_of(const Locator& locator) { return {locator.begin(), locator.end()}; }

TEST(VhdxLocator, ComesBackAsItWasStored) {
  const Locator locator = {{"parent_linkage", "{x}"},
                           {"relative_path", ".\\\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.vhdx"},
                           {"empty", ""}};
  const auto bytes = encode_locator(locator);
  ASSERT_TRUE(bytes);
  const auto again = parse_locator(*bytes);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(pairs_of(*again), pairs_of(locator));
}

std::string locator_fault(std::vector<std::byte> bytes, Errc expected = Errc::corrupt) {
  const auto locator = parse_locator(bytes);
  if (locator) return "";
  EXPECT_EQ(locator.error().code(), expected);
  return locator.error().message();
}

TEST(VhdxLocator, IsRefusedWhenItBreaksItsBounds) {
  const auto good = test::vhdx_locator({{"k", "v"}, {"l", "w"}});
  ASSERT_EQ(locator_fault(good), "");
  const auto with32 = [&](size_t at, uint32_t value) {
    auto bytes = good;
    store(bytes, at, le32(value));
    return locator_fault(bytes);
  };
  const auto with16 = [&](size_t at, uint16_t value) {
    auto bytes = good;
    store(bytes, at, le16(value));
    return locator_fault(bytes);
  };
  for (const size_t at : {20U, 24U, 32U, 36U}) {
    EXPECT_THAT(with32(at, static_cast<uint32_t>(good.size() - 1)), HasSubstr("behind its end"));
    EXPECT_THAT(with32(at, 0xffffffff), HasSubstr("behind its end"));
  }
  EXPECT_THAT(with16(28, 0xffff), HasSubstr("behind its end"));
  EXPECT_THAT(with16(28, 0), HasSubstr("without a key"));
  EXPECT_THAT(with16(30, 1), HasSubstr("not a text in UTF-16"));
  EXPECT_THAT(with16(18, 3), HasSubstr("behind"));
  EXPECT_THAT(with16(18, 0xffff), HasSubstr("entries end behind it"));
  EXPECT_THAT(locator_fault({good.begin(), good.begin() + 19}), HasSubstr("too short"));
  EXPECT_THAT(locator_fault(test::vhdx_locator({{"k", "v"}, {"k", "w"}})), HasSubstr("twice"));
  auto other = good;
  other[0] ^= std::byte{1};
  EXPECT_THAT(locator_fault(other, Errc::unsupported), HasSubstr("unknown type"));
}

TEST(VhdxLocator, IsRefusedWithHalfACharacterOrANul) {
  for (const uint32_t unit : {0xd800U, 0xdc00U, 0xdfffU, 0U}) {
    auto bytes = test::vhdx_locator({{"k", "v"}});
    store(bytes, bytes.size() - 2, le16(static_cast<uint16_t>(unit)));
    EXPECT_THAT(locator_fault(bytes), HasSubstr("not a text in UTF-16")) << unit;
  }
}

TEST(VhdxLocator, OfAChildWithoutOneIsRefused) {
  VhdxBuilder builder = child({});
  builder.change_items = [](auto& items) { items.back().bytes.resize(10); };
  const auto image = test::open_vhdx(builder.file());
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().message(), "parent locator: too short");
}

TEST(VhdxLocator, NamesANewParentAndKeepsWhatNobodyKnows) {
  const Locator old = {{"parent_linkage", "{1}"},    {"parent_linkage2", "{2}"},
                       {"relative_path", "x"},       {"volume_path", "y"},
                       {"absolute_win32_path", "z"}, {"of_mine", "kept"}};
  const auto made = with_parent(old, {.reference = "../a/b.vhdx", .modification_uuid = kOther});
  ASSERT_TRUE(made);
  EXPECT_EQ(pairs_of(*made), (Pairs{{"parent_linkage", braces(kOther)},
                                    {"relative_path", "..\\a\\b.vhdx"},
                                    {"of_mine", "kept"}}));
  const auto beside = with_parent({}, {.reference = "b.vhdx", .modification_uuid = kOther});
  ASSERT_TRUE(beside);
  EXPECT_EQ((*beside)[1].second, ".\\b.vhdx");
}

TEST(VhdxLocator, SaysWhichParentsItCannotName) {
  const auto why = [](const std::string& reference, const std::string& format = "vhdx",
                      std::optional<Uuid> guid = kOther) {
    const auto made = with_parent({}, {.reference = reference,
                                       .format = format,
                                       .modification_uuid = std::move(guid),
                                       .mtime_s = 1});
    EXPECT_FALSE(made);
    return made ? "" : made.error().message();
  };
  EXPECT_THAT(why("/abs/b.vhdx"), HasSubstr("only by a path from its own directory"));
  EXPECT_THAT(why("a\\b.vhdx"), HasSubstr("those of Windows"));
  EXPECT_THAT(why("c:b.vhdx"), HasSubstr("those of Windows"));
  EXPECT_THAT(why("\xff.vhdx"), HasSubstr("not UTF-8"));
  EXPECT_THAT(why(""), HasSubstr("no name"));
  EXPECT_THAT(why("b.qcow2", "qcow2"), HasSubstr("can only have another VHDX"));
  EXPECT_THAT(why("b.vhdx", "vhdx", std::nullopt), HasSubstr("no data write GUID"));
}

TEST(VhdxLocator, NamesAParentWhateverItHolds) {
  const Locator old = {{"parent_linkage", linkage(kOther)},
                       {"parent_linkage2", linkage(kOther)},
                       {"of_mine", "kept"}};
  const auto made = with_parent(old, {.reference = "b.vhdx", .format = "vhdx"});
  ASSERT_TRUE(made);
  const ParentLink link = link_of(*made);
  EXPECT_EQ(link.reference, "b.vhdx");
  EXPECT_FALSE(link.modification_uuid);
  EXPECT_FALSE(link.other_modification_uuid);
  EXPECT_EQ(made->back().second, "kept");
}

}  // namespace
}  // namespace platter::vhdx
