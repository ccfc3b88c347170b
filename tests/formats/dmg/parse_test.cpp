// Trailer and tables: what is taken, what is refused and how it is said.
#include "formats/dmg/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/xml.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/dmg_builder.h"

namespace platter::dmg {
namespace {

using test::DmgBuilder;
using testing::HasSubstr;
using testing::IsEmpty;

// Two parts: 8 sectors raw and 4 of zeroes; at 20, 8 sectors of zlib.
DmgBuilder good_dmg() {
  DmgBuilder builder{.sectors = 40, .parts = {{.name = "first"}, {.name = "second", .first = 20}}};
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, test::pattern(0, 4096, 1));
  DmgBuilder::add(builder.parts[0], test::kDmgZero, std::vector<std::byte>(2048));
  DmgBuilder::add(builder.parts[1], test::kDmgZlib, test::pattern(0, 4096, 2));
  return builder;
}

// The message of the refusal; "" when it was taken.
std::string refusal_of(const FilePtr& file, Errc expected = Errc::corrupt) {
  const auto image = test::open_dmg(file);
  if (image) return {};
  EXPECT_EQ(image.error().code(), expected) << image.error().message();
  EXPECT_EQ(image.error().message().find('\n'), std::string::npos);
  return image.error().message();
}
std::string refusal_of(const DmgBuilder& builder, Errc expected = Errc::corrupt) {
  return refusal_of(builder.file(), expected);
}
std::string probed_format(std::string_view text) {
  const auto probed = probe(MemoryFile("x", test::bytes_of(text)));
  return probed ? std::string(probed->format->name()) : "error: " + probed.error().message();
}

TEST(DmgTrailer, IsTakenWhenItIsRight) {
  const auto image = test::open_dmg(good_dmg().file());
  ASSERT_TRUE(image) << image.error().message();
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ((*image)->size(), 40u * 512);
  EXPECT_EQ(info.format, "dmg");
  EXPECT_EQ(info.variant, "UDZO");
  EXPECT_THAT(info.details, testing::ElementsAre(
                                Detail{"parts", uint64_t{2}}, Detail{"part_names", "first, second"},
                                Detail{"chunks", uint64_t{3}}, Detail{"raw_chunks", uint64_t{1}},
                                Detail{"zlib_chunks", uint64_t{1}}, Detail{"checksums", true}));
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_EQ(probed_format(good_dmg().build()), "dmg");
}

TEST(DmgTrailer, IsFoundNearTheEndAndAtTheStart) {
  for (const size_t behind : {1U, 100U, 511U}) {
    auto builder = good_dmg();
    builder.behind = std::string(behind, 'x');
    EXPECT_EQ(refusal_of(builder), "") << behind;
    EXPECT_EQ(probed_format(builder.build()), "dmg") << behind;
  }
  auto first = good_dmg();
  first.trailer_first = true;
  EXPECT_EQ(refusal_of(first), "");
  EXPECT_EQ(probed_format(first.build()), "dmg");
}

TEST(DmgTrailer, IsNotLookedForFarFromTheEnd) {
  auto builder = good_dmg();
  builder.behind = std::string(512, 'x');
  EXPECT_THAT(refusal_of(builder, Errc::wrong_format), HasSubstr("has no trailer"));
  EXPECT_EQ(probed_format(builder.build()), "raw");
}

TEST(DmgTrailer, OfAFileShorterThanItIsMissing) {
  for (const size_t size : {0U, 1U, 4U, 511U}) {
    const std::string text = ("koly" + std::string(600, '\0')).substr(0, size);
    const auto file = std::make_shared<MemoryFile>("x", test::bytes_of(text));
    EXPECT_THAT(refusal_of(file, Errc::wrong_format), HasSubstr("has no trailer")) << size;
  }
}

TEST(DmgTrailer, OfACutFileIsMissing) {
  const std::string text = good_dmg().build();
  for (const size_t size : {text.size() - 1, text.size() / 2}) {
    EXPECT_EQ(probed_format(text.substr(0, size)), "raw");
  }
}

TEST(DmgTrailer, RejectsOtherVersionsAndLengths) {
  for (const size_t at : {4U, 8U}) {
    auto builder = good_dmg();
    builder.words32[at] = 5;
    EXPECT_THAT(refusal_of(builder, Errc::unsupported), HasSubstr("trailer: version"));
    EXPECT_EQ(probed_format(builder.build()), "dmg");
  }
}

TEST(DmgTrailer, RejectsAPartOfASegmentedImage) {
  auto builder = good_dmg();
  builder.words32[0x3c] = 3;
  EXPECT_EQ(refusal_of(builder, Errc::unsupported),
            "trailer: part 1 of 3: segmented images are not read");
  builder.words32[0x38] = builder.words32[0x3c] = 0;  // as old programs leave it
  EXPECT_EQ(refusal_of(builder), "");
}

TEST(DmgTrailer, RejectsADiskOfNoSectorsOrTooMany) {
  for (const uint64_t sectors : {uint64_t{0}, uint64_t{1} << 54, uint64_t{1} << 55, ~uint64_t{0}}) {
    auto builder = good_dmg();
    builder.words64[0x1ec] = sectors;
    EXPECT_THAT(refusal_of(builder), HasSubstr("trailer: a disk of ")) << sectors;
  }
}

TEST(DmgTrailer, RejectsRangesPastTheEndOfTheFile) {
  const uint64_t end = good_dmg().build().size() - 512;
  for (const size_t at : {0x18U, 0x28U, 0xd8U}) {
    for (const auto& [offset, length] :
         {std::pair{end, uint64_t{1}}, std::pair{end - 1, uint64_t{2}},
          std::pair{uint64_t{0}, end + 1}, std::pair{~uint64_t{0}, uint64_t{1}},
          std::pair{uint64_t{1}, ~uint64_t{0}}}) {
      auto builder = good_dmg();
      builder.words64[at] = offset;
      builder.words64[at + 8] = length;
      EXPECT_THAT(refusal_of(builder), HasSubstr("lies past the end of the file")) << at;
    }
  }
}

TEST(DmgTrailer, RejectsAnImageWithoutTables) {
  auto builder = good_dmg();
  builder.words64[0xe0] = 0;
  EXPECT_THAT(refusal_of(builder, Errc::unsupported), HasSubstr("a stub"));
}

TEST(DmgTrailer, RejectsTablesOfMoreThan16MiB) {
  for (const bool fork : {false, true}) {
    auto builder = good_dmg();
    builder.resource_fork = fork;
    builder.property_list = std::string(16 * MiB + 1, ' ');
    if (fork) builder.parts[0].size = 16 * MiB;
    EXPECT_EQ(refusal_of(builder), "trailer: tables of more than 16 MiB");
  }
}

TEST(DmgEncrypted, IsRecognisedAndRefused) {
  std::string text(8192, 'x');
  for (const bool old : {false, true}) {
    std::string image = text;
    if (old)
      image.replace(image.size() - 8, 8, "cdsaencr");
    else
      image.replace(0, 8, "encrcdsa");
    EXPECT_EQ(probed_format(image), "dmg");
    const auto file = std::make_shared<MemoryFile>("x", test::bytes_of(image));
    EXPECT_THAT(refusal_of(file, Errc::unsupported), HasSubstr("is encrypted"));
  }
}

TEST(DmgList, RejectsWhatIsNoXml) {
  for (const char* list : {"x", "<plist>", "<plist></dict>", "<!-- -->"}) {
    auto builder = good_dmg();
    builder.property_list = list;
    EXPECT_THAT(refusal_of(builder), HasSubstr("property list: ")) << list;
  }
}

TEST(DmgList, RejectsOneWithoutTables) {
  for (const char* list : {"<plist><dict></dict></plist>", "<plist/>",
                           "<plist><dict><key>resource-fork</key></dict></plist>",
                           "<plist><dict><key>resource-fork</key><dict><key>blkx</key><dict/></"
                           "dict></dict></plist>"}) {
    auto builder = good_dmg();
    builder.property_list = list;
    EXPECT_EQ(refusal_of(builder), "property list: has no tables (blkx)") << list;
  }
  auto builder = good_dmg();
  builder.property_list =
      "<plist><dict><key>resource-fork</key><dict><key>blkx</key><array/></dict></dict></plist>";
  EXPECT_EQ(refusal_of(builder), "has no table of chunks");
}

std::string list_with(const std::string& item) {
  return "<plist><dict><key>other</key><string/><key>resource-fork</key><dict><key>plst</key>"
         "<array><dict><key>Data</key><data>bWlzaA==</data></dict></array><key>blkx</key><array>" +
         item + "</array></dict></dict></plist>";
}

TEST(DmgList, RejectsTablesThatAreNone) {
  const std::pair<const char*, const char*> cases[] = {
      {"<dict></dict>", "property list: table 0 has no data"},
      {"<dict><key>Data</key></dict>", "property list: table 0 has no data"},
      {"<dict><key>Data</key><data>AA=A</data></dict>", "property list: table 0 is no base64"},
      {"<dict><key>Data</key><data>A\xc3\xa4</data></dict>", "property list: table 0 is no base64"},
      {"<dict><key>Data</key><data/></dict>", "table 0: is too short"},
      {"<dict><key>Data</key><data>bWlzaA==</data></dict>", "table 0: is too short"}};
  for (const auto& [item, message] : cases) {
    auto builder = good_dmg();
    builder.property_list = list_with(item);
    EXPECT_EQ(refusal_of(builder), message);
  }
}

TEST(DmgList, RejectsDeepOnesAndOnesOfManyTags) {
  auto builder = good_dmg();
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "<a>";
  for (int i = 0; i < 300; ++i) deep += "</a>";
  builder.property_list = deep;
  EXPECT_EQ(refusal_of(builder), "property list: XML of too many levels");
  std::string many = "<a>";
  for (int i = 0; i < 140000; ++i) many += "<b/>";
  builder.property_list = many + "</a>";
  EXPECT_EQ(refusal_of(builder), "property list: XML of too many tags");
}

TEST(DmgList, DoesNotExpandEntities) {
  auto builder = good_dmg();
  builder.property_list =
      "<!DOCTYPE a [<!ENTITY x SYSTEM \"/etc/hostname\"> <!ENTITY y \"&x;&x;\">]>" +
      list_with("<dict><key>Data</key><data>&y;</data></dict>");
  EXPECT_EQ(refusal_of(builder), "property list: table 0 is no base64");
}

TEST(DmgFork, IsReadWhereThereIsNoList) {
  auto builder = good_dmg();
  builder.resource_fork = true;
  const auto image = test::open_dmg(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_THAT((*image)->info().details, testing::Contains(Detail{"part_names", "?, ?"}));
  EXPECT_THAT((*image)->info().details, testing::Contains(Detail{"chunks", uint64_t{3}}));
}

TEST(DmgFork, RejectsItemsPastItsEnd) {
  auto builder = good_dmg();
  builder.resource_fork = true;
  builder.words64[0x30] = 15;
  EXPECT_EQ(refusal_of(builder), "resource fork: is too short");
  builder.words64[0x30] = 400;
  EXPECT_EQ(refusal_of(builder), "resource fork: its data lies past its end");
  std::string text = good_dmg().build();
  builder.words64.clear();
  text = builder.build();
  const size_t first = text.find("mish") - 4;
  text.replace(first, 4, "\x7f\xff\xff\xff");
  const auto file = std::make_shared<MemoryFile>("x", test::bytes_of(text));
  EXPECT_EQ(refusal_of(file), "resource fork: an item lies past its end");
}

// One of the first part's fields, set.
std::string refusal_with(std::map<size_t, uint64_t> words32, std::map<size_t, uint64_t> words64,
                         Errc expected = Errc::corrupt) {
  auto builder = good_dmg();
  builder.parts[0].words32 = std::move(words32);
  builder.parts[0].words64 = std::move(words64);
  return refusal_of(builder, expected);
}

TEST(DmgTable, RejectsOtherSignaturesAndVersions) {
  EXPECT_EQ(refusal_with({{0, 1}}, {}), "table 0: has no signature");
  EXPECT_EQ(refusal_with({{4, 2}}, {}, Errc::unsupported), "table 0: version 2");
}

TEST(DmgTable, RejectsMoreChunksThanItHas) {
  for (const uint64_t count : {4U, 0xffffffffU, 0x06666667U}) {
    EXPECT_THAT(refusal_with({{200, count}}, {}), HasSubstr("table 0: counts ")) << count;
  }
  EXPECT_EQ(refusal_with({{200, 2}}, {}), "");  // what is behind is not looked at
}

TEST(DmgTable, RejectsAPartPastTheEndOfTheDisk) {
  for (const auto& [first, count] :
       {std::pair{uint64_t{29}, uint64_t{12}}, std::pair{~uint64_t{0}, uint64_t{12}},
        std::pair{uint64_t{0}, ~uint64_t{0}}}) {
    EXPECT_EQ(refusal_with({}, {{8, first}, {16, count}}),
              "table 0: its sectors lie past the end of the disk");
  }
}

TEST(DmgTable, RejectsChunksPastTheEndOfThePart) {
  for (const auto& [first, count] :
       {std::pair{uint64_t{8}, uint64_t{5}}, std::pair{~uint64_t{0}, uint64_t{4}},
        std::pair{uint64_t{8}, ~uint64_t{0}}}) {
    EXPECT_EQ(refusal_with({}, {{244 + 8, first}, {244 + 16, count}}),
              "table 0: chunk 1 lies past the end of its part of the disk");
  }
}

TEST(DmgTable, RejectsChunksPastTheEndOfTheDataFork) {
  for (const auto& [at, value] :
       {std::pair{204 + 24, uint64_t{1} << 20}, std::pair{204 + 24, ~uint64_t{0}},
        std::pair{204 + 32, uint64_t{1} << 20}, std::pair{204 + 32, ~uint64_t{0}},
        std::pair{24, uint64_t{1} << 20}, std::pair{24, ~uint64_t{0}}}) {
    EXPECT_EQ(refusal_with({}, {{at, value}}),
              "table 0: chunk 0 lies past the end of the data fork");
  }
}

TEST(DmgTable, RejectsCompressedChunksOfMoreThan64MiB) {
  const uint64_t sectors = 131073;
  EXPECT_EQ(refusal_with({{204, test::kDmgZlib}}, {{204 + 32, 64 * MiB + 1}}),
            "table 0: chunk 0 of 4096 bytes in 67108865: more than 64 MiB");
  auto builder = good_dmg();
  builder.words64[0x1ec] = 1000000;
  builder.parts[0].words64 = {{16, 200000}, {204 + 16, sectors}};
  builder.parts[0].words32 = {{204, test::kDmgBzip2}, {244, test::kDmgComment}};
  builder.parts[1].first = 300000;
  EXPECT_THAT(refusal_of(builder), HasSubstr("more than 64 MiB"));
  builder.parts[0].words64[204 + 16] = sectors - 1;
  EXPECT_EQ(refusal_of(builder), "");
  // Nothing has to hold a raw one as a whole.
  builder.parts[0].words64[204 + 16] = sectors;
  builder.parts[0].words32[204] = test::kDmgRaw;
  EXPECT_EQ(refusal_of(builder), "");
}

TEST(DmgTable, RejectsChunksThatOverlap) {
  EXPECT_EQ(refusal_with({}, {{244 + 8, 7}}), "tables: two chunks hold the sector 7");
  auto builder = good_dmg();
  builder.parts[1].first = 11;
  EXPECT_EQ(refusal_of(builder), "tables: two chunks hold the sector 11");
  builder.parts[1].first = 12;
  EXPECT_EQ(refusal_of(builder), "");
}

TEST(DmgTable, SkipsCommentsAndEmptyChunksAndWhatIsBehindTheEnd) {
  auto builder = good_dmg();
  auto& chunks = builder.parts[0].chunks;
  chunks.insert(chunks.begin() + 1, {.type = test::kDmgComment, .first = 99, .sectors = 99});
  chunks.insert(chunks.begin() + 1, {.type = test::kDmgZlib, .first = 99, .offset = 1 << 30});
  chunks.push_back({.type = test::kDmgEnd});
  chunks.push_back({.type = test::kDmgRaw, .first = 99, .sectors = 99});
  chunks[0].comment = 0x41;
  EXPECT_EQ(refusal_of(builder), "");
}

TEST(DmgTable, OfManyChunksIsRead) {
  DmgBuilder builder{.sectors = 400000, .parts = {{.name = "all", .sectors = 400000}}};
  for (uint64_t i = 0; i < 200000; ++i) {
    builder.parts[0].chunks.push_back(
        {.type = test::kDmgRaw, .first = 2 * i, .sectors = 1, .offset = 0, .length = 512});
  }
  builder.parts[0].chunks[0].stored.resize(512);
  const auto image = test::open_dmg(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  const auto extent = (*image)->map({399998 * 512, 1024});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->kind, Extent::Kind::data);
}

}  // namespace
}  // namespace platter::dmg
