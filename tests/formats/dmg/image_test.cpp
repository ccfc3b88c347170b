// What the chunks of an image stand for, and what a check says of them.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/checked.h"
#include "lib/container/view.h"
#include "tests/support/bytes.h"
#include "tests/support/dmg_builder.h"

namespace platter::dmg {
namespace {

using test::DmgBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string whole_disk(const Image& image) {
  BlockCache blocks(1 * MiB);
  const View view({{&image, 0}}, blocks);
  std::vector<std::byte> out(view.size());
  const auto done = view.read(0, out);
  return done ? test::text_of(out) : "error: " + done.error().message();
}
std::string whole_disk(const DmgBuilder& builder) {
  const auto image = test::open_dmg(builder.file());
  return image ? whole_disk(**image) : "error: " + image.error().message();
}

// Compresses, and looks different everywhere.
std::vector<std::byte> content(size_t size, uint64_t seed) {
  std::vector<std::byte> out = test::pattern(0, size, seed);
  for (size_t i = 0; i < size; i += 64) std::fill_n(out.begin() + static_cast<long>(i), 40, out[i]);
  return out;
}

class EveryDmgCodec : public testing::TestWithParam<uint32_t> {};

TEST_P(EveryDmgCodec, IsReadAlsoFromTheMiddle) {
  DmgBuilder builder{.sectors = 200, .parts = {{.name = "disk"}}};
  const auto first = content(100 * 512, 1), second = content(60 * 512, 2);
  DmgBuilder::add(builder.parts[0], GetParam(), first);
  DmgBuilder::add(builder.parts[0], test::kDmgZero, std::vector<std::byte>(20 * 512));
  DmgBuilder::add(builder.parts[0], GetParam(), second);
  const auto image = test::open_dmg(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  const std::string zeroes(20 * 512, '\0');
  EXPECT_TRUE(whole_disk(**image) ==
              test::text_of(first) + zeroes + test::text_of(second) + zeroes);
  BlockCache blocks(1 * MiB);
  const View view({{image->get(), 0}}, blocks);
  std::vector<std::byte> out(1000);
  ASSERT_TRUE(view.read(130 * 512 + 7, out));
  EXPECT_TRUE(std::equal(out.begin(), out.end(), second.begin() + 10 * 512 + 7));
  CheckReport report;
  ASSERT_TRUE((*image)->check(Repair::none, report));
  EXPECT_THAT(report.messages, IsEmpty());
  EXPECT_EQ(report.blocks, 3u);
}

INSTANTIATE_TEST_SUITE_P(Codecs, EveryDmgCodec,
                         testing::Values(test::kDmgRaw, test::kDmgAdc, test::kDmgZlib,
                                         test::kDmgBzip2, test::kDmgLzfse, test::kDmgXz));

TEST(DmgImage, ReadsWhatNoChunkHoldsAsZeroes) {
  DmgBuilder builder{.sectors = 20, .parts = {{.name = "a", .first = 4}}};
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, test::bytes_of(std::string(512, 'a')));
  builder.parts[0].sectors = 10;
  EXPECT_EQ(whole_disk(builder),
            std::string(4 * 512, '\0') + std::string(512, 'a') + std::string(15 * 512, '\0'));
  const auto image = test::open_dmg(builder.file());
  ASSERT_TRUE(image);
  const auto before = (*image)->map({512, 512}), after = (*image)->map({5 * 512, 512});
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->kind, Extent::Kind::zero);
  EXPECT_EQ(before->guest, (Range{512, 3 * 512}));
  EXPECT_EQ(after->guest, (Range{5 * 512, 15 * 512}));
}

TEST(DmgImage, ReadsChunksInAnyOrderAndWithSharedBytes) {
  DmgBuilder builder{.sectors = 4, .parts = {{.name = "b", .first = 2}, {.name = "a"}}};
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, test::bytes_of(std::string(512, 'b')));
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, test::bytes_of(std::string(512, 'c')));
  DmgBuilder::add(builder.parts[1], test::kDmgRaw, test::bytes_of(std::string(512, 'a')));
  builder.parts[1].sectors = 2;
  builder.parts[1].chunks.push_back(
      {.type = test::kDmgRaw, .first = 1, .sectors = 1, .offset = 512, .length = 512});
  std::swap(builder.parts[1].chunks[0], builder.parts[1].chunks[1]);
  EXPECT_EQ(whole_disk(builder), std::string(512, 'a') + std::string(512, 'c') +
                                     std::string(512, 'b') + std::string(512, 'c'));
}

TEST(DmgImage, FillsARawChunkThatIsShortWithZeroes) {
  DmgBuilder builder{.sectors = 4, .parts = {{.name = "a"}}};
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, test::bytes_of(std::string(2048, 'a')));
  builder.parts[0].chunks[0].length = 700;
  const std::string disk = std::string(700, 'a') + std::string(1348, '\0');
  EXPECT_EQ(whole_disk(builder), disk);
  builder.parts[0].chunks[0].length = 2048;
  builder.parts[0].chunks[0].stored.resize(4096);
  builder.parts[0].chunks[0].length = 4096;  // longer than it needs
  EXPECT_EQ(whole_disk(builder), std::string(2048, 'a'));
}

TEST(DmgImage, RefusesAChunkThatIsShort) {
  for (const uint32_t type : {test::kDmgZlib, test::kDmgBzip2, test::kDmgXz, test::kDmgLzfse}) {
    for (const size_t size : {512U, 1536U}) {
      DmgBuilder builder{.sectors = 2, .parts = {{.name = "a", .sectors = 2}}};
      builder.parts[0].chunks = {
          {.type = type, .sectors = 2, .stored = test::dmg_stored(type, content(size, 1))}};
      EXPECT_THAT(whole_disk(builder), HasSubstr("is damaged")) << type;
    }
  }
}

TEST(DmgImage, OpensWithAChunkOfAnUnknownTypeAndRefusesToReadIt) {
  DmgBuilder builder{.sectors = 4, .parts = {{.name = "a"}}};
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, test::bytes_of(std::string(512, 'a')));
  builder.parts[0].chunks.push_back({.type = 0x80000009, .first = 1, .sectors = 1});
  builder.parts[0].sectors = 4;
  const auto image = test::open_dmg(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_THAT((*image)->info().warnings, ElementsAre(HasSubstr("1 chunks of types")));
  EXPECT_TRUE((*image)->map({0, 512}));
  EXPECT_TRUE((*image)->map({1024, 512}));
  const auto unknown = (*image)->map({512, 512});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), Errc::unsupported);
  EXPECT_EQ(unknown.error().message(),
            "the chunk at sector 1 is of type 0x80000009, which is not known");
}

TEST(DmgImage, IsNamedAfterTheCodecThatMadeMostOfIt) {
  DmgBuilder builder{.sectors = 30, .parts = {{.name = "a"}}};
  DmgBuilder::add(builder.parts[0], test::kDmgZlib, content(1024, 1));
  DmgBuilder::add(builder.parts[0], test::kDmgLzfse, content(4096, 1));
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, content(8192, 1));
  EXPECT_EQ((*test::open_dmg(builder.file()))->info().variant, "ULFO");
  builder.parts[0].chunks.erase(builder.parts[0].chunks.begin(),
                                builder.parts[0].chunks.begin() + 2);
  EXPECT_EQ((*test::open_dmg(builder.file()))->info().variant, "UDRO");
}

TEST(DmgImage, IsOnlyRead) {
  DmgBuilder builder{.sectors = 2, .parts = {{.name = "a"}}};
  DmgBuilder::add(builder.parts[0], test::kDmgRaw, content(1024, 1));
  const auto image = test::open_dmg(builder.file());
  ASSERT_TRUE(image);
  CheckReport report;
  EXPECT_EQ((*image)->check(Repair::all, report).error().code(), Errc::read_only);
  EXPECT_EQ((*image)->begin_writing().error().code(), Errc::read_only);
}

// A disk of four kinds of chunks in two parts; zeroes that are counted and zeroes that are not.
DmgBuilder checked_dmg() {
  DmgBuilder builder{.sectors = 100, .parts = {{.name = "a"}, {.name = "b", .first = 50}}};
  DmgBuilder::add(builder.parts[0], test::kDmgZlib, content(8 * 512, 1));
  DmgBuilder::add(builder.parts[0], test::kDmgIgnored, std::vector<std::byte>(8 * 512));
  DmgBuilder::add(builder.parts[0], test::kDmgZero, std::vector<std::byte>(9 * 512));
  DmgBuilder::add(builder.parts[1], test::kDmgRaw, content(8 * 512, 2));
  return builder;
}

std::vector<std::string> found_in(const DmgBuilder& builder) {
  const auto image = test::open_dmg(builder.file());
  if (!image) return {image.error().message()};
  CheckReport report;
  const auto done = (*image)->check(Repair::none, report);
  EXPECT_TRUE(done) << done.error().message();
  EXPECT_EQ(report.corruptions, report.messages.size());
  EXPECT_EQ(report.leaks, 0u);
  return report.messages;
}

TEST(DmgCheck, FindsNothingWhereAllChecksumsAreRight) {
  EXPECT_THAT(found_in(checked_dmg()), IsEmpty());
  auto fork = checked_dmg();
  fork.resource_fork = true;
  EXPECT_THAT(found_in(fork), IsEmpty());
}

TEST(DmgCheck, LooksAtNoChecksumWhereThereIsNone) {
  auto builder = checked_dmg();
  builder.checksums = false;
  builder.parts[0].crc ^= 1;
  EXPECT_THAT(found_in(builder), IsEmpty());
}

TEST(DmgCheck, FindsAWrongChecksumOfAPart) {
  auto builder = checked_dmg();
  builder.parts[1].crc ^= 1;
  const auto found = found_in(builder);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0], HasSubstr("table 1 \"b\": has the checksum 0x"));
}

TEST(DmgCheck, FindsAWrongMasterChecksum) {
  auto builder = checked_dmg();
  builder.words32[0x168] = 0;
  EXPECT_THAT(found_in(builder), ElementsAre(HasSubstr("tables: has the checksum 0x")));
}

TEST(DmgCheck, FindsDamageOfTheDataFork) {
  auto builder = checked_dmg();
  builder.words32[0x58] = 0;
  EXPECT_THAT(found_in(builder), ElementsAre(HasSubstr("data fork: has the checksum 0x")));
  auto damaged = checked_dmg();
  damaged.parts[1].chunks[0].stored[5] ^= std::byte{1};  // its checksum is taken anew
  EXPECT_THAT(found_in(damaged), ElementsAre(HasSubstr("table 1 \"b\": has the checksum")));
}

TEST(DmgCheck, FindsChunksThatCannotBeDecodedAndGoesOn) {
  auto builder = checked_dmg();
  builder.parts[0].chunks[0].stored[5] ^= std::byte{1};
  builder.parts[1].crc ^= 1;
  EXPECT_THAT(found_in(builder),
              ElementsAre("table 0 \"a\": the zlib chunk at sector 0: compressed data: its zlib "
                          "stream is damaged",
                          HasSubstr("table 1 \"b\": has the checksum")));
}

TEST(DmgCheck, FindsChunksOfAnUnknownType) {
  auto builder = checked_dmg();
  builder.parts[0].chunks[0].type = 0x80000009;
  EXPECT_THAT(found_in(builder), ElementsAre(HasSubstr("is of a type that is not known")));
}

TEST(DmgCheck, OfAPetabyteOfZeroesIsQuick) {
  const uint64_t sectors = uint64_t{1} << 41;
  DmgBuilder builder{.sectors = sectors, .parts = {{.name = "a", .sectors = sectors}}};
  builder.parts[0].chunks = {{.type = test::kDmgZero, .sectors = sectors}};
  EXPECT_THAT(found_in(builder), ElementsAre(HasSubstr("table 0 \"a\": has the checksum")));
}

// Numbers of the trailer and the tables, broken at random: what opens keeps within its bounds.
TEST(DmgImage, KeepsWithinItsFileWhateverIsDamaged) {
  std::mt19937_64 random(1);
  const auto number = [&random]() -> uint64_t {
    constexpr uint64_t kNumbers[] = {0, 1, 2, 8, 20, 40, 511, 0x7fffffff, 0x80000005, 0xffffffff};
    const uint64_t n = kNumbers[random() % std::size(kNumbers)];
    return random() % 4 == 0 ? ~n : random() % 4 == 0 ? n << 32 : n;
  };
  unsigned opened = 0;
  for (int i = 0; i < 1000; ++i) {
    auto builder = checked_dmg();
    auto& part = builder.parts[random() % 2];
    for (uint64_t n = 1 + random() % 2; n > 0; --n) {
      const size_t field = random() % 4 == 0 ? 8 * (random() % 5) : 200 + 4 * (random() % 21);
      part.words32[field] = number();
    }
    if (random() % 2 == 0) builder.words64[8 * (random() % 63) + 4] = number();
    const auto file = builder.file();
    const uint64_t size = file->stat()->size;
    const auto image = test::open_dmg(file);
    if (!image) continue;
    ++opened;
    for (uint64_t at = 0, n = 0; at < (*image)->size() && n < 50; ++n) {
      const Range want{at, (*image)->size() - at};
      const auto e = (*image)->map(want);
      if (!e) break;
      ASSERT_TRUE(e->guest.contains(at));
      const uint64_t stored = e->kind == Extent::Kind::data      ? e->guest.length
                              : e->kind == Extent::Kind::encoded ? e->stored
                                                                 : 0;
      ASSERT_TRUE(fits(e->host, stored, size));
      at = e->guest.end();
    }
    CheckReport report;
    (void)(*image)->check(Repair::none, report);
  }
  EXPECT_GT(opened, 100u);
}

}  // namespace
}  // namespace platter::dmg
