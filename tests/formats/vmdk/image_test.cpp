// Where the bytes of VMDKs are, and what of damaged ones can still be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <zlib.h>

#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/vmdk_builder.h"

namespace platter::vmdk {
namespace {

using test::open_vmdk;
using test::sectors_of;
using test::vmdk_text;
using test::VmdkBuilder;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = Extent::Kind;

std::string open_refused(const FilePtr& file, const std::map<std::string, FilePtr>& others = {}) {
  const auto image = open_vmdk(file, others);
  return image ? "" : image.error().message();
}

FilePtr text_file(const std::string& text) {
  return std::make_shared<MemoryFile>("disk.vmdk", test::bytes_of(text));
}

FilePtr filled(char letter, size_t sectors) {
  return std::make_shared<MemoryFile>("part", test::bytes_of(std::string(sectors * 512, letter)));
}

TEST(VmdkImage, MapsGrainsSideBySideAsOne) {
  const VmdkBuilder builder{.version = 2,
                            .flags = 7,
                            .table = {40, 48, 1, 1, 0, 0, 0, 32, 0, 56},
                            .data = {0x10, 0x20, 0x30, 0x40}};
  const auto image = open_vmdk(builder.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 75u * 512);
  const auto at = [&](uint64_t offset) { return *(*image)->map({offset, 75 * 512 - offset}); };
  EXPECT_EQ(at(100).guest, (Range{0, 8192}));
  EXPECT_EQ(at(100).kind, Kind::data);
  EXPECT_EQ(at(100).host, 40u * 512);
  EXPECT_FALSE(at(100).in_place);
  EXPECT_EQ(at(8192).guest, (Range{8192, 8192}));
  EXPECT_EQ(at(8192).kind, Kind::zero);
  EXPECT_EQ(at(16384).guest, (Range{16384, 12288}));
  EXPECT_EQ(at(16384).kind, Kind::absent);
  EXPECT_EQ(at(7 * 4096).host, 32u * 512);
  EXPECT_EQ(at(9 * 4096).guest, (Range{9 * 4096, 3 * 512}));
  EXPECT_EQ((*image)->info().variant, "monolithicSparse");
  EXPECT_EQ((*image)->info().content_id, "0a1b2c3d");
  EXPECT_EQ((*image)->info().block_size, 4096u);
}

TEST(VmdkImage, TheLastGrainOfTheFileMayBeShort) {
  VmdkBuilder builder{.capacity = 16, .table = {32, 40}, .data = {0x10, 0x20}};
  builder.file_size = 41 * 512;
  EXPECT_THAT(sectors_of(builder.file()), ElementsAre(0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
                                                      0x17, 0x20, 0, 0, 0, 0, 0, 0, 0));
}

// Without the flag 1 is no zeroed grain but the place of the descriptor, which is none of the disk.
TEST(VmdkImage, AnEntryThatPointsAtMetadataIsNotRead) {
  const VmdkBuilder builder{.capacity = 24, .table = {1, 31, 32}, .data = {0x10}};
  EXPECT_THAT(sectors_of(builder.file()),
              ElementsAre(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0x10,
                          0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17));
}

TEST(VmdkImage, AnEntryPastTheEndOfTheFileIsNotRead) {
  VmdkBuilder builder{.capacity = 8, .table = {0xffffffff}, .data = {0x10}};
  EXPECT_THAT(sectors_of(builder.file()), Each(-1));
  // Who was cut off had not written the grain yet.
  builder.unclean = 1;
  EXPECT_THAT(sectors_of(builder.file()), Each(0));
}

TEST(VmdkImage, AnEntryOfTheDirectoryThatIsDamagedIsReadInTheRedundantOne) {
  VmdkBuilder builder{.capacity = 8, .table = {32}, .data = {0x10}};
  builder.words[26 * 512] = 5000;
  EXPECT_EQ(sectors_of(builder.file())[0], 0x10);
  builder.words[21 * 512] = 5000;
  EXPECT_THAT(sectors_of(builder.file()), Each(-1));
}

TEST(VmdkImage, ADirectoryWithoutTablesIsAbsentAsAWhole) {
  VmdkBuilder builder{.capacity = 40 * 4096};
  builder.words[26 * 512] = 0;
  const auto image = open_vmdk(builder.file());
  ASSERT_TRUE(image);
  const uint64_t size = (*image)->size();
  EXPECT_EQ((*image)->map({5000, size - 5000})->guest, (Range{4096, size - 4096}));
}

// The name in it is that of another time.
TEST(VmdkImage, TheDescriptorsNameOfItsOwnExtentDoesNotMatter) {
  const VmdkBuilder builder{
      .capacity = 8,
      .descriptor = vmdk_text("monolithicSparse", {"RW 8 SPARSE \"../../x/other.vmdk\""}),
      .table = {32},
      .data = {0x10}};
  EXPECT_EQ(sectors_of(builder.file("renamed"))[0], 0x10);
}

TEST(VmdkImage, AnEmbeddedDescriptorWithSeveralExtentsIsRefused) {
  EXPECT_THAT(
      open_refused(
          VmdkBuilder{.descriptor = vmdk_text("x", {"RW 8 SPARSE \"a\"", "RW 8 ZERO"})}.file()),
      HasSubstr("several extents"));
  EXPECT_THAT(open_refused(VmdkBuilder{.descriptor = vmdk_text("x", {"RW 8 FLAT \"a\" 0"})}.file()),
              HasSubstr("embedded in an extent of type FLAT"));
}

TEST(VmdkImage, AnExtentLargerThanItsHeaderSaysIsRefused) {
  EXPECT_THAT(
      open_refused(VmdkBuilder{.descriptor = vmdk_text("x", {"RW 76 SPARSE \"a\""})}.file()),
      HasSubstr("gives it 38912 bytes, its header 38400"));
}

TEST(VmdkImage, AnExtentWithoutADescriptorTellsToOpenThat) {
  EXPECT_THAT(open_refused(VmdkBuilder{.descriptor_at = 0, .descriptor_size = 0}.file()),
              HasSubstr("open the descriptor"));
}

TEST(VmdkImage, IsPutTogetherFromExtentsOfAllKinds) {
  const VmdkBuilder sparse{.capacity = 20, .table = {0, 32}, .data = {0x10}};
  const auto disk =
      text_file(vmdk_text("custom", {"RW 2 FLAT \"f\" 1", "RW 1 ZERO", "RDONLY 1 VMFS \"f\"",
                                     "RW 16 SPARSE \"s\"", "NOACCESS 1 FLAT \"secret\" 0"}));
  EXPECT_THAT(sectors_of(disk, {{"f", filled('f', 3)}, {"s", sparse.file()}}),
              ElementsAre('f', 'f', 0, 'f', 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x11, 0x12, 0x13, 0x14,
                          0x15, 0x16, 0x17, -1));
}

TEST(VmdkImage, MissingExtentsAreNamed) {
  const std::string text = vmdk_text("x", {"RW 1 FLAT \"a\" 0", "RW 1 FLAT \"b-f002.vmdk\" 0"});
  const auto image = open_vmdk(text_file(text), {{"a", filled('a', 1)}});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::not_found);
  EXPECT_EQ(image.error().message(), "extent 2 (\"b-f002.vmdk\"): is missing");
  const auto described = open_vmdk(text_file(text), {}, true);
  ASSERT_TRUE(described);
  EXPECT_THAT((*described)->info().warnings, Contains(HasSubstr("\"a\"): is missing")));
  CheckReport report;
  EXPECT_EQ((*described)->check(Repair::none, report).error().code(), Errc::not_found);
}

TEST(VmdkImage, NamesOfOtherSystemsAreTriedByTheirLastPart) {
  const auto disk = text_file(vmdk_text("x", {"RW 1 FLAT \"C:\\VMs\\a.vmdk\" 0"}));
  EXPECT_THAT(sectors_of(disk, {{"a.vmdk", filled('a', 1)}}), ElementsAre('a'));
}

TEST(VmdkImage, AFlatExtentThatIsCutShortIsShownWithZeroes) {
  const auto disk = text_file(vmdk_text("x", {"RW 3 FLAT \"a\" 1"}));
  EXPECT_THAT(sectors_of(disk, {{"a", filled('a', 2)}}), ElementsAre('a', 0, 0));
  EXPECT_THAT(open_refused(disk, {{"a", filled('a', 1)}}), HasSubstr("truncated"));
}

TEST(VmdkImage, WhatIsNotReadIsNamed) {
  for (const char* type : {"VMFSRDM", "VMFSRAW", "STRANGE"}) {
    const std::string line = fmt::format("RW 1 {} \"a\"", type);
    EXPECT_THAT(open_refused(text_file(vmdk_text("x", {line})), {{"a", filled('a', 1)}}),
                testing::AnyOf(HasSubstr(type), HasSubstr("sparse")))
        << type;
  }
  EXPECT_THAT(open_refused(text_file(vmdk_text("x", {"RW 1 FLAT"}))), HasSubstr("names no file"));
  EXPECT_THAT(
      open_refused(text_file(vmdk_text("x", {"RW 1 SPARSE \"a\""})), {{"a", filled('a', 1)}}),
      HasSubstr("no signature of a VMDK"));
  const auto self = text_file(vmdk_text("x", {"RW 1 FLAT \"me\" 0"}));
  EXPECT_THAT(open_refused(self, {{"me", self}}), HasSubstr("is the descriptor itself"));
}

// A stream whose grains are compressed by themselves: QEMU's way, with tables in front.
struct Stream {
  std::vector<std::byte> bytes;
  static std::vector<std::byte> deflated(Bytes data) {
    std::vector<std::byte> out(compressBound(data.size()));
    uLongf size = out.size();
    compress(reinterpret_cast<Bytef*>(out.data()), &size,
             reinterpret_cast<const Bytef*>(data.data()), data.size());
    out.resize(size);
    return out;
  }
  void add(uint64_t sector, Bytes stored, bool marker = true) {
    if (marker) {
      append(bytes, as_bytes_of(le64(sector)));
      append(bytes, as_bytes_of(le32(static_cast<uint32_t>(stored.size()))));
    }
    append(bytes, stored);
    bytes.resize(align_up(bytes.size(), 512));
  }
};

FilePtr stream_of(const std::vector<std::byte>& stored, bool marker = true, uint64_t capacity = 8) {
  const uint32_t flags = marker ? 0x30003 : 0x10003;
  const VmdkBuilder builder{
      .version = 3, .flags = flags, .capacity = capacity, .compression = 1, .table = {32}};
  Stream stream{builder.build()};
  stream.add(0, stored, marker);
  return std::make_shared<MemoryFile>("stream", stream.bytes);
}

std::string grain_text(size_t length) { return std::string(length, 'g'); }

TEST(VmdkStream, IsReadWithMarkersAndWithout) {
  for (const bool marker : {true, false}) {
    const auto file = stream_of(Stream::deflated(test::bytes_of(grain_text(4096))), marker);
    EXPECT_THAT(sectors_of(file), Each('g')) << marker;
  }
}

TEST(VmdkStream, AGrainThatIsShortEndsInZeroes) {
  const auto sectors = sectors_of(stream_of(Stream::deflated(test::bytes_of(grain_text(1024)))));
  EXPECT_THAT(sectors, ElementsAre('g', 'g', 0, 0, 0, 0, 0, 0));
}

TEST(VmdkStream, AGrainThatIsTooLongOrDamagedIsNotRead) {
  EXPECT_THAT(sectors_of(stream_of(Stream::deflated(test::bytes_of(grain_text(4097))))), Each(-1));
  auto damaged = Stream::deflated(test::noise(4096, 1));
  damaged[100] ^= std::byte{1};
  EXPECT_THAT(sectors_of(stream_of(damaged)), Each(-1));
  EXPECT_THAT(sectors_of(stream_of({})), Each(-1));
}

TEST(VmdkStream, ASizeThatReachesFarBehindTheGrainIsNotTrusted) {
  Stream stream{
      VmdkBuilder{.version = 3, .flags = 0x30003, .capacity = 8, .compression = 1, .table = {32}}
          .build()};
  append(stream.bytes, as_bytes_of(le64(0)));
  append(stream.bytes, as_bytes_of(le32(0xffffffff)));
  stream.bytes.resize(33 * 512);
  EXPECT_THAT(sectors_of(std::make_shared<MemoryFile>("s", stream.bytes)), Each(-1));
}

// Markers in front of everything, and no footer: as an upload leaves it that was cut off.
std::vector<std::byte> cut_stream() {
  const VmdkBuilder builder{.version = 3,
                            .flags = 0x30001,
                            .capacity = 40,
                            .directory_at = ~uint64_t{0},
                            .compression = 1};
  Stream stream{builder.build()};
  for (const uint64_t sector : {uint64_t{0}, uint64_t{16}, uint64_t{32}}) {
    stream.add(sector, Stream::deflated(test::bytes_of(std::string(4096, char('a' + sector)))));
  }
  return stream.bytes;
}

std::vector<int> firsts_of(const std::vector<std::byte>& bytes) {
  const auto sectors = sectors_of(std::make_shared<MemoryFile>("s", bytes));
  std::vector<int> firsts;
  for (size_t i = 0; i < sectors.size(); i += 8) firsts.push_back(sectors[i]);
  return firsts;
}

TEST(VmdkStream, WithoutItsFooterIsFoundByItsMarkers) {
  const auto whole = cut_stream();
  EXPECT_THAT(firsts_of(whole), ElementsAre('a', 0, 'q', 0, 'a' + 32));
  const auto image = open_vmdk(std::make_shared<MemoryFile>("s", whole));
  ASSERT_TRUE(image);
  EXPECT_THAT((*image)->info().warnings, Contains(HasSubstr("its footer is missing: 3 grains")));
  EXPECT_EQ(test::check_vmdk(std::make_shared<MemoryFile>("s", whole)).corruptions, 1u);
}

TEST(VmdkStream, CutInAGrainShowsThoseInFrontOfIt) {
  auto cut = cut_stream();
  cut.resize(cut.size() - 490);
  EXPECT_THAT(firsts_of(cut), ElementsAre('a', 0, 'q', 0, 0));
}

TEST(VmdkStream, MarkersThatCannotBeEndTheSearch) {
  const size_t second = 33 * 512;
  for (const uint64_t sector : {uint64_t{0}, uint64_t{3}, uint64_t{40}, ~uint64_t{0}}) {
    auto stream = cut_stream();
    store(MutableBytes(stream), second, le64(sector));
    EXPECT_THAT(firsts_of(stream), ElementsAre('a', 0, 0, 0, 0)) << sector;
  }
  for (const uint32_t type : {0U, 1U, 5U}) {
    auto stream = cut_stream();
    store(MutableBytes(stream), second, le64(~uint64_t{0}));
    store(MutableBytes(stream), second + 8, le32(0));
    store(MutableBytes(stream), second + 12, le32(type));
    EXPECT_THAT(firsts_of(stream), ElementsAre('a', 0, 0, 0, 0)) << type;
  }
}

TEST(VmdkBareExtent, OfEsxIsReadAndNotWritten) {
  std::vector<std::byte> bytes(40 * 512);
  const uint32_t words[] = {0x44574f43, 1, 3, 10, 1, 4, 1};
  for (size_t i = 0; i < 7; ++i) store(MutableBytes(bytes), 4 * i, le32(words[i]));
  store(MutableBytes(bytes), 4 * 512, le32(5));
  store(MutableBytes(bytes), 5 * 512 + 8, le32(38));
  bytes[38 * 512] = std::byte{'c'};
  const auto file = std::make_shared<MemoryFile>("x-delta.vmdk", bytes);
  EXPECT_THAT(sectors_of(file), ElementsAre(0, 0, 'c', 0, 0, 0, 0, 0, 0, 0));
  Epochs epochs;
  EXPECT_EQ(test::open_writable_vmdk(file, epochs).error().code(), Errc::read_only);
  const auto disk = text_file(vmdk_text("vmfsSparse", {"RW 10 VMFSSPARSE \"x-delta.vmdk\""}));
  EXPECT_THAT(sectors_of(disk, {{"x-delta.vmdk", file}}),
              ElementsAre(0, 0, 'c', 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(test::open_writable_vmdk(disk, epochs, {{"x-delta.vmdk", file}}).error().code(),
            Errc::unsupported);
}

TEST(VmdkProbe, KnowsItsFiles) {
  const Format& format = *find_format("vmdk");
  const auto match = [&](std::string_view head) {
    return format.probe({"x", head.size(), test::bytes_of(head), {}});
  };
  EXPECT_EQ(match("KDMV"), Match::sure);
  EXPECT_EQ(match("COWD"), Match::sure);
  EXPECT_EQ(match("# Disk DescriptorFile\nrubbish"), Match::sure);
  EXPECT_EQ(match("\r\n# x\r\nversion=1\r\n"), Match::sure);
  EXPECT_EQ(match("KDM"), Match::no);
  EXPECT_EQ(match("# a script\nversion=x"), Match::no);
}

// 4096 extents of 2 TiB, in one small file.
TEST(VmdkImage, OfManyExtentsIsOpenedByLookingAtEachOnce) {
  std::vector<std::string> lines;
  for (int i = 0; i < 4096; ++i) lines.emplace_back("RW 4294967295 FLAT \"f\" 0");
  const auto image = open_vmdk(text_file(vmdk_text("custom", lines)), {{"f", filled('f', 1)}});
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), uint64_t{4096} * 4294967295 * 512);
  EXPECT_EQ((*image)->files().size(), 2u);
}

}  // namespace
}  // namespace platter::vmdk
