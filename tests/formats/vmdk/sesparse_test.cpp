// seSparse extents: what they read as, and what of a hostile one is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/qemu.h"
#include "tests/support/sesparse_builder.h"

namespace platter::vmdk {
namespace {

using test::SeSparseBuilder;
using testing::HasSubstr;

constexpr uint64_t kSeGrain = SeSparseBuilder::kGrain, kSePerTable = SeSparseBuilder::kPerTable;
constexpr uint64_t kSeZero = SeSparseBuilder::kZero, kSeUnmapped = SeSparseBuilder::kUnmapped;

uint64_t stored_at(uint64_t number) { return SeSparseBuilder::stored(number); }

// Opens a bare one; files: what else there is.
Result<ImagePtr> open_sesparse(const FilePtr& file, bool info_only = false, bool writable = false,
                               std::map<std::string, FilePtr> files = {}) {
  const auto resolver = map_resolver(std::move(files));
  return find_format("vmdk")->open(OpenRequest{.file = file,
                                               .resolver = *resolver,
                                               .tables = std::make_shared<PageCache>(MiB),
                                               .info_only = info_only,
                                               .writable = writable});
}

std::string sesparse_refusal(const SeSparseBuilder& builder, Errc expected = Errc::corrupt) {
  const auto image = open_sesparse(builder.file());
  if (image) return "";
  EXPECT_EQ(image.error().code(), expected) << image.error().message();
  return image.error().message();
}

// Why the grain cannot be found; "": it can.
std::string sesparse_map_refusal(const SeSparseBuilder& builder, uint64_t grain) {
  const auto image = open_sesparse(builder.file());
  if (!image) return image.error().message();
  const auto extent = (*image)->map({grain * kSeGrain, kSeGrain});
  if (extent) return "";
  EXPECT_EQ(extent.error().code(), Errc::corrupt);
  return extent.error().message();
}

// "start+length kind" in grains, one after the other, up to the first that is refused.
std::string sesparse_map(const Image& image) {
  std::string text;
  for (uint64_t at = 0; at < image.size();) {
    const auto e = image.map({at, image.size() - at});
    if (!e) return text + e.error().message();
    const char* kinds[] = {"absent", "zero", "data", "encoded"};
    text += fmt::format("{}+{} {}; ", e->guest.offset, e->guest.length,
                        kinds[static_cast<unsigned>(e->kind)]);
    at = e->guest.end();
  }
  return text;
}

std::vector<std::byte> sesparse_disk(const Image& image) {
  BlockCache blocks(MiB);
  const View view({{&image, 0}}, blocks);
  std::vector<std::byte> out(view.size());
  const auto done = view.read(0, out);
  EXPECT_TRUE(done) << done.error().message();
  return out;
}

SeSparseBuilder good_sesparse() {
  return {.sectors = 61,
          .grains = {{1, stored_at(2)},
                     {2, stored_at(3)},
                     {3, stored_at(0)},
                     {5, kSeZero},
                     {6, kSeUnmapped}},
          .stored_grains = 4};
}

TEST(SeSparse, ReadsItsGrains) {
  const auto image = open_sesparse(good_sesparse().file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 61U * 512);
  EXPECT_EQ((*image)->info().variant, "seSparse");
  EXPECT_EQ((*image)->info().block_size, kSeGrain);
  EXPECT_EQ(sesparse_map(**image),
            "0+4096 absent; 4096+8192 data; 12288+4096 data; 16384+4096 absent; 20480+4096 zero; "
            "24576+4096 zero; 28672+2560 absent; ");
  const auto disk = sesparse_disk(**image);
  for (const auto& [grain, value] : {std::pair{0, 0}, {1, 3}, {2, 4}, {3, 1}, {4, 0}, {5, 0}}) {
    EXPECT_EQ(std::to_integer<int>(disk[static_cast<size_t>(grain) * kSeGrain + 17]), value)
        << grain;
  }
}

TEST(SeSparse, FindsATableByItsNumber) {
  const SeSparseBuilder builder{.sectors = 8 * (2 * kSePerTable + 3),
                                .grains = {{0, stored_at(0)},
                                           {kSePerTable - 1, stored_at(1)},
                                           {2 * kSePerTable + 2, stored_at(2)}},
                                .table_order = {2, 0},
                                .stored_grains = 3};
  const auto image = open_sesparse(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  const auto disk = sesparse_disk(**image);
  EXPECT_EQ(disk[0], std::byte{1});
  EXPECT_EQ(disk[(kSePerTable - 1) * kSeGrain], std::byte{2});
  EXPECT_EQ(disk[(2 * kSePerTable + 2) * kSeGrain], std::byte{3});
  EXPECT_EQ(disk[kSePerTable * kSeGrain], std::byte{0});
}

// A grain's number is cut in two in its entry: the lower 12 bits come first.
TEST(SeSparse, PutsTogetherTheNumberOfAGrain) {
  SeSparseBuilder builder{.sectors = 16, .grains = {{0, stored_at(4096 * 3 + 5)}}};
  const auto file = builder.file();
  const uint64_t at = builder.grains_at() * 512 + (4096 * 3 + 5) * kSeGrain;
  ASSERT_TRUE(file->write(at, test::bytes_of("here")));
  const auto image = open_sesparse(file);
  ASSERT_TRUE(image);
  const auto extent = (*image)->map({0, 1});
  ASSERT_TRUE(extent) << extent.error().message();
  EXPECT_EQ(extent->host, at);
}

TEST(SeSparse, AnswersInOneExtentForGrainsSideBySide) {
  SeSparseBuilder builder{.sectors = 8 * 150, .stored_grains = 150};
  for (uint64_t i = 0; i < 150; ++i) builder.grains[i] = stored_at(i);
  const auto image = open_sesparse(builder.file());
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->map({0, 150 * kSeGrain})->guest.length, 150 * kSeGrain);
  EXPECT_EQ((*image)->map({0, kSeGrain})->guest.length, kSeGrain);
}

TEST(SeSparse, ShowsZeroesWhereItsLastGrainWasNeverWritten) {
  SeSparseBuilder builder{
      .sectors = 16, .grains = {{0, stored_at(0)}, {1, stored_at(1)}}, .stored_grains = 2};
  builder.file_size = builder.grains_at() * 512 + kSeGrain + 1000;
  const auto image = open_sesparse(builder.file());
  ASSERT_TRUE(image);
  EXPECT_EQ(sesparse_map(**image), "0+5096 data; 5096+3096 zero; ");
  builder.file_size = builder.grains_at() * 512 + kSeGrain;
  const auto shorter = open_sesparse(builder.file());
  ASSERT_TRUE(shorter);
  EXPECT_THAT(sesparse_map(**shorter),
              HasSubstr("0+4096 data; grain 1: its entry points past the end"));
}

TEST(SeSparse, OfAHugeDiskIsOpenedAtOnce) {
  const uint64_t sectors = uint64_t{64} * 1024 * GiB / 512;
  SeSparseBuilder head{.sectors = 64};
  // The directory, of 32 MiB, is a hole.
  head.words[16] = sectors;
  head.words[136] = sectors / 8 / kSePerTable / 64;
  const auto file = head.file();
  ASSERT_TRUE(file->resize(GiB));
  const auto image = open_sesparse(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), sectors * 512);
  EXPECT_EQ((*image)->map({sectors * 512 - 1, 1})->kind, Extent::Kind::absent);
}

TEST(SeSparse, IsProbedByItsSignature) {
  const auto found = probe(*good_sesparse().file());
  ASSERT_TRUE(found && found->format != nullptr);
  EXPECT_EQ(found->format->name(), "vmdk");
}

TEST(SeSparse, IsNamedByADescriptor) {
  const auto text = std::make_shared<MemoryFile>(
      "x.vmdk",
      test::bytes_of("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                     "createType=\"seSparse\"\nRW 48 SESPARSE \"x-sesparse.vmdk\"\n"));
  const auto image =
      open_sesparse(text, false, false, {{"x-sesparse.vmdk", good_sesparse().file()}});
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 48U * 512);
  EXPECT_EQ(sesparse_disk(**image)[kSeGrain], std::byte{3});
  EXPECT_EQ((*image)->info().variant, "seSparse");
}

TEST(SeSparse, IsNotLargerThanItsHeaderSays) {
  const auto text = std::make_shared<MemoryFile>(
      "x.vmdk",
      test::bytes_of("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                     "createType=\"seSparse\"\nRW 62 SESPARSE \"x-sesparse.vmdk\"\n"));
  const auto image =
      open_sesparse(text, false, false, {{"x-sesparse.vmdk", good_sesparse().file()}});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::corrupt);
}

TEST(SeSparse, IsOnlyRead) {
  const auto image = open_sesparse(good_sesparse().file(), false, true);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::read_only);
}

TEST(SeSparseHeader, RejectsAJournalThatWasNotReplayed) {
  auto builder = good_sesparse();
  builder.words[512 + 24] = 1;
  EXPECT_THAT(sesparse_refusal(builder, Errc::unsupported), HasSubstr("journal"));
  const auto image = open_sesparse(builder.file(), true);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_TRUE((*image)->info().dirty);
}

TEST(SeSparseHeader, RejectsWhatNobodyKnows) {
  for (const uint64_t at : {8U, 24U, 32U, 40U, 48U, 56U, 64U, 72U}) {
    auto builder = good_sesparse();
    builder.words[at] = 0x55;
    EXPECT_THAT(sesparse_refusal(builder, Errc::unsupported), HasSubstr("unsupported")) << at;
  }
}

TEST(SeSparseHeader, RejectsPartsPastTheEndOfTheFile) {
  const uint64_t wraps = uint64_t{1} << 55;
  for (const uint64_t sector : {uint64_t{0}, uint64_t{1} << 20, wraps, wraps + 1, ~uint64_t{0}}) {
    for (const uint64_t at : {80U, 128U, 144U, 192U}) {
      auto builder = good_sesparse();
      builder.words[at] = sector;
      EXPECT_NE(sesparse_refusal(builder), "") << at << " " << sector;
    }
  }
}

TEST(SeSparseHeader, RejectsADirectoryTooSmallForItsDisk) {
  auto builder = good_sesparse();
  builder.words[16] = 8 * kSePerTable * 64 + 1;
  EXPECT_THAT(sesparse_refusal(builder), HasSubstr("grain directory of 1 sectors"));
  builder.words[136] = ~uint64_t{0};
  EXPECT_NE(sesparse_refusal(builder), "");
  builder.words[136] = 0;
  EXPECT_NE(sesparse_refusal(builder), "");
}

TEST(SeSparseHeader, RejectsACapacityThatIsNone) {
  for (const uint64_t sectors : {uint64_t{0}, uint64_t{1} << 55, ~uint64_t{0}}) {
    auto builder = good_sesparse();
    builder.words[16] = sectors;
    EXPECT_NE(sesparse_refusal(builder), "") << sectors;
  }
}

TEST(SeSparseHeader, RejectsAVolatileOneThatIsNone) {
  auto builder = good_sesparse();
  builder.words[512] = 0xcafebabe;
  EXPECT_THAT(sesparse_refusal(builder), HasSubstr("volatile"));
}

TEST(SeSparseTables, RejectTablesThatAreNone) {
  for (const uint64_t entry :
       {uint64_t{1}, uint64_t{0x10000000} << 32 | 1, uint64_t{0x10000000} << 32 | 0xffffffff,
        uint64_t{0x20000000} << 32, uint64_t{0x10000001} << 32, ~uint64_t{0}}) {
    auto builder = good_sesparse();
    builder.words[SeSparseBuilder::kDirectory * 512] = entry;
    EXPECT_THAT(sesparse_map_refusal(builder, 0), HasSubstr("grain directory: entry 0")) << entry;
  }
}

TEST(SeSparseTables, RejectEntriesThatAreNone) {
  for (const uint64_t entry :
       {uint64_t{1}, uint64_t{4} << 60, uint64_t{9} << 60 | 1, ~uint64_t{0}}) {
    auto builder = good_sesparse();
    builder.grains[0] = entry;
    EXPECT_THAT(sesparse_map_refusal(builder, 0), HasSubstr("grain 0: its entry is no grain"))
        << entry;
    EXPECT_EQ(sesparse_map_refusal(builder, 1), "");
  }
}

TEST(SeSparseTables, RejectGrainsPastTheEndOfTheFile) {
  for (const uint64_t number : {uint64_t{4}, uint64_t{5000}, (uint64_t{1} << 60) - 1,
                                uint64_t{1} << 52, uint64_t{1} << 51}) {
    auto builder = good_sesparse();
    builder.grains[0] = stored_at(number);
    EXPECT_THAT(sesparse_map_refusal(builder, 0), HasSubstr("past the end of the file")) << number;
  }
}

TEST(SeSparseTables, RejectATableThatIsCutOff) {
  auto builder = good_sesparse();
  builder.file_size = builder.tables_at() * 512 + 100;
  builder.words[192] = SeSparseBuilder::kVolatile;
  EXPECT_THAT(sesparse_map_refusal(builder, 0), HasSubstr("points past the end of the file"));
}

TEST(SeSparseCheck, FindsWhatCannotBe) {
  auto builder = good_sesparse();
  builder.grains[0] = 7;
  builder.grains[4] = stored_at(99);
  builder.sectors = 8 * (kSePerTable + 1);
  builder.words[SeSparseBuilder::kDirectory * 512 + 8] = 5;
  const auto image = open_sesparse(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  CheckReport report;
  ASSERT_TRUE((*image)->check(Repair::none, report));
  EXPECT_EQ(report.corruptions, 3U);
  EXPECT_EQ(report.blocks, 4U);
  EXPECT_THAT(report.messages, testing::ElementsAre(HasSubstr("grain 0"), HasSubstr("grain 4"),
                                                    HasSubstr("grain directory: entry 1")));
}

TEST(SeSparseCheck, FindsNothingInAGoodOne) {
  const auto image = open_sesparse(good_sesparse().file());
  ASSERT_TRUE(image);
  CheckReport report;
  ASSERT_TRUE((*image)->check(Repair::none, report));
  EXPECT_EQ(report.corruptions, 0U);
}

TEST(SeSparseFuzz, WithAnyByteBrokenIsReadOrRefused) {
  const auto builder = good_sesparse();
  const std::vector<std::byte> good = builder.build();
  for (size_t at = 0; at < builder.tables_at() * 512 + 80; ++at) {
    if (good[at] == std::byte{0} && at % 31 != 0 && at > 208) continue;
    for (const unsigned mask : {0x01U, 0x80U, 0xffU}) {
      std::vector<std::byte> bytes = good;
      bytes[at] ^= static_cast<std::byte>(mask);
      const auto image = open_sesparse(std::make_shared<MemoryFile>("x", bytes));
      if (!image) continue;
      BlockCache blocks(MiB);
      const View view({{(*image).get(), 0}}, blocks);
      std::vector<std::byte> out(std::min<uint64_t>(view.size(), 64 * KiB));
      (void)view.read(0, out);
    }
  }
}

// QEMU has to read the same out of it.
TEST(SeSparseInterop, ReadsTheSameToQemu) {
  REQUIRE_QEMU();
  const test::TempDir dir;
  SeSparseBuilder builder{.sectors = 8 * (kSePerTable + 40), .stored_grains = 60};
  std::mt19937_64 random(7);
  for (uint64_t i = 0; i < 60; ++i) {
    const uint64_t grain = random() % (kSePerTable + 40);
    builder.grains[grain] = random() % 4 == 0 ? kSeZero : stored_at(random() % 60);
  }
  const auto file = builder.file();
  test::write_file(dir / "x-sesparse.vmdk", Bytes(builder.build()));
  test::write_file(dir / "x.vmdk", fmt::format("# Disk DescriptorFile\nversion=1\nCID=12345678\n"
                                               "parentCID=ffffffff\ncreateType=\"seSparse\"\n"
                                               "RW {} SESPARSE \"x-sesparse.vmdk\"\n",
                                               builder.sectors));
  MUST_RUN(dir, "qemu-img convert -f vmdk -O raw x.vmdk x.raw");
  const auto image = open_sesparse(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_TRUE(test::text_of(sesparse_disk(**image)) == test::read_file(dir / "x.raw"));
}

}  // namespace
}  // namespace platter::vmdk
