// Streams as others may have made them, right and wrong: what is read, what is refused, what is
// found again without a footer.
#include <chrono>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vmdk/grain_codec.h"
#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/stream_builder.h"

namespace platter::vmdk {
namespace {

using test::StreamBuilder;
using testing::HasSubstr;
using Tables = StreamBuilder::Tables;

Result<ImagePtr> open_as_stream(const FilePtr& file, bool info_only = false,
                                bool writable = false) {
  const auto resolver = deny_resolver("a stream is one file");
  return find_format("vmdk")->open(OpenRequest{.file = file,
                                               .resolver = *resolver,
                                               .tables = std::make_shared<PageCache>(MiB),
                                               .info_only = info_only,
                                               .writable = writable});
}

// The first byte of each grain, "." for zero; "!" and the error for one that cannot be read.
std::string read_grains(const FilePtr& file, uint64_t grain = 16 * 512) {
  const auto image = open_as_stream(file);
  if (!image) return image.error().message();
  BlockCache blocks(MiB);
  const View view({{(*image).get(), 0}}, blocks);
  std::string text;
  for (uint64_t at = 0; at < view.size(); at += grain) {
    std::vector<std::byte> out(std::min(grain, view.size() - at));
    const auto done = view.read(at, out);
    if (!done) {
      EXPECT_EQ(done.error().code(), Errc::corrupt) << done.error().message();
      const std::string message = done.error().message();
      text += "!" + message.substr(message.find(": ") + 2) + "!";
      continue;
    }
    EXPECT_EQ(out.front(), out.back());
    text += out.front() == std::byte{0} ? '.' : static_cast<char>(out.front());
  }
  return text;
}
std::string read_grains(const StreamBuilder& builder) {
  return read_grains(builder.file(), builder.grain * 512);
}

std::vector<std::string> warnings_of(const StreamBuilder& builder) {
  const auto image = open_as_stream(builder.file());
  return image ? (*image)->info().warnings : std::vector{image.error().message()};
}

std::string open_refusal(const StreamBuilder& builder, Errc expected = Errc::corrupt) {
  const auto image = open_as_stream(builder.file());
  if (image) return "";
  EXPECT_EQ(image.error().code(), expected) << image.error().message();
  return image.error().message();
}

StreamBuilder good_stream(Tables tables = Tables::behind) {
  StreamBuilder builder;
  builder.tables = tables;
  builder.grains = {{0, 'a'}, {3, 'b'}, {6, 'c'}};
  return builder;
}

TEST(StreamRead, TakesTablesWhereverTheyAre) {
  EXPECT_EQ(read_grains(good_stream()), "a..b..c");
  EXPECT_EQ(read_grains(good_stream(Tables::in_front)), "a..b..c");
  EXPECT_EQ(read_grains(good_stream(Tables::none)), "a..b..c");
  EXPECT_TRUE(warnings_of(good_stream()).empty());
  EXPECT_TRUE(warnings_of(good_stream(Tables::in_front)).empty());
}

TEST(StreamRead, GoesOnFromTableToTable) {
  StreamBuilder builder = good_stream();
  builder.sectors = 16 * (3 * 512 + 1);
  builder.grains[511] = 'd';
  builder.grains[512] = 'e';
  builder.grains[3 * 512] = 'f';
  for (const Tables tables : {Tables::behind, Tables::in_front, Tables::none}) {
    builder.tables = tables;
    std::string expected(3 * 512 + 1, '.');
    for (const auto& [grain, value] : builder.grains) expected[grain] = static_cast<char>(value);
    EXPECT_EQ(read_grains(builder), expected);
  }
}

TEST(StreamRead, ShowsZeroesBehindAGrainThatIsShort) {
  StreamBuilder builder = good_stream();
  builder.sectors = 16 * 7;
  builder.plain[6] = std::string(100, 'c');
  const auto image = open_as_stream(builder.file());
  ASSERT_TRUE(image);
  BlockCache blocks(MiB);
  const View view({{(*image).get(), 0}}, blocks);
  std::vector<std::byte> out(200);
  ASSERT_TRUE(view.read(6 * 16 * 512, out));
  EXPECT_EQ(test::text_of(out), std::string(100, 'c') + std::string(100, '\0'));
}

TEST(StreamRead, RejectsAGrainThatIsTooLong) {
  for (const Tables tables : {Tables::behind, Tables::none}) {
    StreamBuilder builder = good_stream(tables);
    builder.plain[3] = std::string(16 * 512 + 1, 'b');
    EXPECT_EQ(read_grains(builder), "a..!compressed grain: it has more than 8192 bytes!..c");
    // A bomb: it grows a thousandfold.
    builder.grain = 128;
    builder.sectors = 7 * 128;
    builder.plain[3] = std::string(4 * MiB, 'b');
    EXPECT_THAT(read_grains(builder), HasSubstr("it has more than 65536 bytes"));
  }
}

TEST(StreamRead, RejectsADamagedGrain) {
  for (const std::string& stream :
       {std::string(), std::string("x"), std::string("x\x9c"), std::string(300, '\xff'),
        test::zlib_of("short").substr(0, 8), std::string("\x78\xbb\1\2\3\4", 6)}) {
    StreamBuilder builder = good_stream();
    builder.streams[3] = stream;
    EXPECT_EQ(read_grains(builder), "a..!compressed grain: its zlib stream is damaged!..c");
  }
}

TEST(StreamRead, RejectsASizeThatIsNoGrains) {
  for (const uint32_t size :
       {uint32_t{0xffffffff}, uint32_t{0x80000000}, uint32_t{16 * 1024 + 1}, uint32_t{501}}) {
    StreamBuilder builder = good_stream();
    builder.sizes[3] = size;
    EXPECT_EQ(read_grains(builder),
              fmt::format("a..!compressed grain: {} bytes do not fit in its place!..c", size));
  }
}

TEST(StreamRead, RejectsEntriesThatPointAnywhere) {
  for (const uint32_t entry : {1U, 2U, 15U}) {
    StreamBuilder builder = good_stream();
    builder.entries[3] = entry;
    EXPECT_THAT(read_grains(builder), HasSubstr("grain 3: its entry points at metadata")) << entry;
  }
  for (const uint32_t entry : {5000U, 0x80000000U, 0xffffffffU}) {
    StreamBuilder builder = good_stream();
    builder.entries[3] = entry;
    EXPECT_THAT(read_grains(builder), HasSubstr("grain 3: its entry points past the end"));
  }
  StreamBuilder builder = good_stream();
  const auto end = static_cast<uint32_t>(builder.build().size() / 512);
  for (uint32_t entry = 16; entry < end; ++entry) {
    // Of another grain, of a table, of a marker: it is read or refused.
    builder.entries[3] = entry;
    EXPECT_THAT(read_grains(builder), HasSubstr("a.."));
  }
}

// Two entries may name one grain: what is shown is what is there.
TEST(StreamRead, TakesAGrainThatIsNamedTwice) {
  StreamBuilder builder = good_stream();
  builder.build();
  builder.entries[4] = static_cast<uint32_t>(builder.grain_at[0] / 512);
  EXPECT_EQ(read_grains(builder), "a..ba.c");
}

TEST(StreamRead, RejectsTablesPastTheEndOfTheFile) {
  for (const uint32_t sector : {5000U, 0xffffffffU}) {
    StreamBuilder builder = good_stream();
    builder.directory[0] = sector;
    EXPECT_THAT(read_grains(builder), HasSubstr("grain directory: entry 0 points past the end"));
  }
}

TEST(StreamRead, RejectsADirectoryPastTheEndOfTheFile) {
  for (const uint64_t sector : {uint64_t{0}, uint64_t{5000}, uint64_t{1} << 55, ~uint64_t{0} - 1}) {
    StreamBuilder builder = good_stream();
    builder.footer64[56] = sector;
    EXPECT_THAT(open_refusal(builder), HasSubstr("grain directory")) << sector;
  }
}

TEST(StreamRead, RejectsADirectoryOverTheDescriptor) {
  for (const uint64_t sector : {1U, 2U}) {
    StreamBuilder builder = good_stream();
    builder.footer64[56] = sector;
    EXPECT_THAT(open_refusal(builder), HasSubstr("lies over the descriptor")) << sector;
  }
}

TEST(StreamRead, RejectsAFooterThatSaysWhatNoneCan) {
  StreamBuilder builder = good_stream();
  builder.footer64 = {{20, 17}};
  EXPECT_THAT(open_refusal(builder), HasSubstr("grains of 17 sectors"));
  builder.footer64 = {{12, 0}};
  EXPECT_THAT(open_refusal(builder), HasSubstr("capacity"));
  builder.footer64 = {{12, uint64_t{1} << 55}};
  EXPECT_THAT(open_refusal(builder), HasSubstr("capacity"));
  builder.footer64 = {{12, uint64_t{1} << 53}};
  EXPECT_THAT(open_refusal(builder), HasSubstr("grain directory is too large"));
  builder.footer64 = {{12, 99}};
  EXPECT_THAT(open_refusal(builder), HasSubstr("the descriptor gives it"));
  builder.footer64 = {};
  builder.footer32 = {{44, 0}};
  EXPECT_THAT(open_refusal(builder), HasSubstr("tables of 0 entries"));
  builder.footer32 = {{77, 0}};
  EXPECT_THAT(open_refusal(builder, Errc::unsupported), HasSubstr("compression"));
}

// A unit is decoded as a whole.
TEST(StreamRead, RejectsGrainsTooLargeToBeDecoded) {
  StreamBuilder builder = good_stream();
  builder.sectors = 3;
  builder.grains = {};
  for (const uint64_t grain : {uint64_t{131072}, uint64_t{0x200000}}) {
    builder.footer64 = {{20, grain}};
    EXPECT_THAT(open_refusal(builder, Errc::unsupported), HasSubstr("compressed grains of"));
  }
  builder.footer64 = {{20, 65536}};
  EXPECT_EQ(open_refusal(builder), "");
  EXPECT_LE(GrainCodec::max_stored(65536 * 512), 64 * MiB);
}

TEST(StreamRead, IsOnlyRead) {
  for (const Tables tables : {Tables::behind, Tables::in_front, Tables::none}) {
    const auto image = open_as_stream(good_stream(tables).file(), false, true);
    if (image) {
      const auto begun = (*image)->begin_writing();
      ASSERT_FALSE(begun);
      continue;
    }
    EXPECT_TRUE(image.error().code() == Errc::read_only ||
                image.error().code() == Errc::unsupported);
  }
}

TEST(StreamWithoutFooter, IsReadWithAWarning) {
  StreamBuilder builder = good_stream();
  builder.build();
  for (const uint64_t end : {builder.footer_at, builder.footer_at + 512, builder.footer_at - 1,
                             builder.footer_at + 1024}) {
    builder.cut_behind = end;
    EXPECT_EQ(read_grains(builder), "a..b..c") << end;
    const auto warnings = warnings_of(builder);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr("its footer is missing: 3 grains were found"));
  }
}

TEST(StreamWithoutFooter, ShowsWhatIsWholeOfOneThatWasCutOff) {
  StreamBuilder builder = good_stream();
  builder.build();
  builder.cut_behind = builder.grain_at[6] + 20;
  EXPECT_EQ(read_grains(builder), "a..b...");
  builder.cut_behind = builder.grain_at[3] + 5;
  EXPECT_EQ(read_grains(builder), "a......");
}

TEST(StreamWithoutFooter, IsFoundWhereTheFileWasFilledUp) {
  StreamBuilder builder = good_stream();
  builder.behind = std::string(5 * 512, '\0');
  EXPECT_EQ(read_grains(builder), "a..b..c");
  builder.behind = std::string(100, 'x');
  EXPECT_EQ(read_grains(builder), "a..b..c");
}

TEST(StreamWithoutFooter, StopsAtWhatIsNoGrain) {
  StreamBuilder builder = good_stream(Tables::none);
  const std::map<uint64_t, uint64_t> bad_firsts = {{0, 0}, {1, 49}, {2, 7 * 16}, {3, ~uint64_t{0}}};
  for (const auto& [ignored, first] : bad_firsts) {
    builder.firsts[3] = first;
    EXPECT_EQ(read_grains(builder), "a......") << first;
  }
  builder.firsts.clear();
  for (const uint32_t size : {0xffffffffU, 16 * 1024U + 513U}) {
    builder.sizes[3] = size;
    EXPECT_EQ(read_grains(builder), "a......") << size;
  }
}

// Markers that lead nowhere, or back.
TEST(StreamWithoutFooter, EndsWithAMarkerThatIsNone) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{1} << 39, uint64_t{1} << 40, ~uint64_t{0}}) {
    for (const uint32_t type : {0U, 1U, 2U, 3U, 4U, 5U, 0xffffffffU}) {
      StreamBuilder builder = good_stream(Tables::none);
      std::string marker(512, '\0');
      std::memcpy(marker.data(), &value, 8);
      std::memcpy(marker.data() + 12, &type, 4);
      builder.behind = marker;
      EXPECT_EQ(read_grains(builder), "a..b..c");
    }
  }
}

TEST(StreamWithoutFooter, IsDescribedWithoutALookAtItsGrains) {
  const auto image = open_as_stream(good_stream(Tables::none).file(), true);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->info().warnings, std::vector<std::string>{"its footer is missing"});
}

// The bytes of one grain are read and decoded once, however small the reads are.
TEST(StreamRead, DecodesAGrainOnceForReadsOfSectors) {
  const auto image = open_as_stream(good_stream().file());
  ASSERT_TRUE(image);
  BlockCache blocks(MiB);
  const View view({{(*image).get(), 0}}, blocks);
  std::vector<std::byte> sector(512);
  for (uint64_t i = 0; i < 16; ++i) ASSERT_TRUE(view.read(3 * 16 * 512 + i * 512, sector));
  EXPECT_EQ(blocks.use().misses, 1U);
  EXPECT_EQ(blocks.use().hits, 15U);
}

// Reads everything there is, whatever comes of it.
void read_all(Bytes bytes) {
  const auto image = open_as_stream(std::make_shared<MemoryFile>("stream.vmdk", bytes));
  if (!image) return;
  BlockCache blocks(MiB);
  const View view({{(*image).get(), 0}}, blocks);
  std::vector<std::byte> out(std::min<uint64_t>(view.size(), 64 * KiB));
  (void)view.read(0, out);
  if (view.size() > out.size()) (void)view.read(view.size() - out.size(), out);
  CheckReport report;
  (void)(*image)->check(Repair::none, report);
}

TEST(StreamFuzz, WithAnyByteBrokenIsReadOrRefused) {
  for (const Tables tables : {Tables::behind, Tables::in_front, Tables::none}) {
    StreamBuilder builder = good_stream(tables);
    builder.grain = 8;
    builder.sectors = 50;
    const std::vector<std::byte> good = builder.build();
    for (size_t at = 0; at < good.size(); ++at) {
      // What is zero is mostly padding.
      if (good[at] == std::byte{0} && at % 31 != 0 && at > 96) continue;
      for (const unsigned mask : {0x01U, 0x80U, 0xffU}) {
        std::vector<std::byte> bytes = good;
        bytes[at] ^= static_cast<std::byte>(mask);
        read_all(bytes);
      }
    }
  }
}

TEST(StreamFuzz, CutOffAnywhereIsReadOrRefused) {
  for (const Tables tables : {Tables::behind, Tables::in_front, Tables::none}) {
    const std::vector<std::byte> good = good_stream(tables).build();
    for (size_t length = 0; length < good.size(); length += 73) read_all(Bytes(good).first(length));
  }
}

}  // namespace
}  // namespace platter::vmdk
