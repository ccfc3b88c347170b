#include "formats/vhd/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/formats/vhd/vhd_disk.h"

namespace platter::vhd {
namespace {

using test::open_vhd;
using test::VhdBuilder;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

VhdBuilder two_blocks() {
  VhdBuilder b{.table = {0, 0, 0}, .blocks = {{.first = 10}, {.first = 20}}};
  return b.point({1, -1, 0});
}

VhdBuilder fixed_disk() { return {.type = 2, .fixed = {1, 2, 3, 4, 5, 6, 7, 8}}; }

void expect_refused(const VhdBuilder& b, Errc code, const std::string& message) {
  const auto image = open_vhd(b.file());
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), code);
  EXPECT_THAT(image.error().message(), HasSubstr(message));
}

std::vector<std::string> warnings_of(const FilePtr& file) {
  const auto image = open_vhd(file);
  return image ? (*image)->info().warnings : std::vector<std::string>{"refused"};
}

std::optional<std::string> probed(const File& file) {
  const auto found = probe(file);
  if (!found) return found.error().message();
  return std::string(found->format->name());
}

TEST(VhdParse, SaysWhatADynamicDiskIs) {
  VhdBuilder b = two_blocks();
  b.cylinders = 3;
  b.heads = 4;
  b.track = 17;
  const auto image = open_vhd(b.file(), true);
  ASSERT_TRUE(image) << image.error().message();
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ(info.format, "vhd");
  EXPECT_EQ(info.variant, "dynamic");
  EXPECT_EQ(info.block_size, 4096u);
  EXPECT_EQ(info.uuid->to_string(), "11111111-2222-4333-8444-555555555555");
  EXPECT_EQ(info.pchs->cylinders, 3u);
  EXPECT_EQ((*image)->size(), 3u * 4096);
  EXPECT_FALSE(info.parent);
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(info.details, Contains(Detail{"creator", "win"}));
  EXPECT_THAT(info.details, Contains(Detail{"creator_version", "6.3"}));
  EXPECT_THAT(info.details, Contains(Detail{"created", "2015-11-05T00:53:20Z"}));
  EXPECT_THAT(info.details, Contains(Detail{"geometry_size", uint64_t{3 * 4 * 17 * 512}}));
  EXPECT_THAT(info.details, Contains(Detail{"blocks_allocated", uint64_t{2}}));
  EXPECT_THAT(info.details, Contains(Detail{"saved_state", false}));
}

TEST(VhdParse, ReadsAFixedDisk) {
  EXPECT_THAT(test::sectors_of_vhd(fixed_disk().file()), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(VhdProbe, KnowsAFixedDiskByItsEnd) {
  EXPECT_EQ(probed(*fixed_disk().file()), "vhd");
  EXPECT_EQ(probed(*two_blocks().file()), "vhd");
}

TEST(VhdProbe, KnowsAFooterOf511Bytes) {
  for (VhdBuilder b : {fixed_disk(), two_blocks()}) {
    b.file_size = b.tail_at() + 511;
    EXPECT_EQ(probed(*b.file()), "vhd");
    EXPECT_THAT(warnings_of(b.file()), IsEmpty());
  }
  VhdBuilder b = fixed_disk();
  b.file_size = b.tail_at() + 511;
  EXPECT_THAT(test::sectors_of_vhd(b.file()), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(VhdProbe, KnowsADynamicDiskWhoseEndWasCut) {
  VhdBuilder b = two_blocks();
  b.tail = false;
  EXPECT_EQ(probed(*b.file()), "vhd");
}

TEST(VhdProbe, DoesNotTakeAPieceOfItsStartForOne) {
  const auto file = two_blocks().file();
  ASSERT_TRUE(file->resize(1028));
  EXPECT_EQ(probed(*file), "raw");
}

TEST(VhdProbe, DoesNotTakeAFixedFooterAtTheStartForOne) {
  auto bytes = fixed_disk().footer();
  bytes.resize(8192);
  EXPECT_EQ(probed(MemoryFile("x", Bytes(bytes))), "raw");
}

// A guest's own disk images, as the first data of a fixed one.
TEST(VhdParse, DoesNotTakeWhatAFixedDiskHoldsForTheDisk) {
  const auto inner = two_blocks().build();
  VhdBuilder outer{.type = 2, .fixed = std::vector<uint8_t>(inner.size() / 512 + 4, 9)};
  for (const bool sound : {true, false}) {
    const auto file = outer.file();
    ASSERT_TRUE(file->write(0, inner));
    const std::vector<std::byte> none(sound ? 0 : 4);
    ASSERT_TRUE(file->write(outer.tail_at() + 64, none));
    const auto image = open_vhd(file);
    ASSERT_TRUE(image);
    EXPECT_EQ((*image)->info().variant, "fixed");
    EXPECT_EQ((*image)->size(), outer.fixed.size() * 512);
  }
}

TEST(VhdParse, UsesTheCopyWhenTheFooterAtTheEndIsMissing) {
  VhdBuilder b = two_blocks();
  b.tail = false;
  EXPECT_THAT(warnings_of(b.file()), ElementsAre(HasSubstr("missing")));
  EXPECT_THAT(test::firsts_of_vhd(b.file(), 4096), ElementsAre(20, 0, 10));
}

TEST(VhdParse, UsesTheCopyWhenTheFooterAtTheEndIsDamaged) {
  VhdBuilder b = two_blocks();
  b.words32[b.tail_at() + 48] = 0;
  b.words32[b.tail_at() + 52] = 512;
  EXPECT_THAT(warnings_of(b.file()), ElementsAre(HasSubstr("damaged")));
  EXPECT_THAT(test::firsts_of_vhd(b.file(), 4096), ElementsAre(20, 0, 10));
}

TEST(VhdParse, PrefersTheFooterAtTheEnd) {
  VhdBuilder b = two_blocks();
  VhdBuilder other = b;
  other.disk_size = 4096;
  const auto file = b.file();
  ASSERT_TRUE(file->write(0, other.footer()));
  EXPECT_THAT(warnings_of(file), ElementsAre(HasSubstr("not the same")));
  EXPECT_EQ(test::sectors_of_vhd(file).size(), 24u);
}

TEST(VhdParse, ReadsWithAWarningWhatHasNothingWrongButItsChecksum) {
  VhdBuilder b = two_blocks();
  b.words32 = {{64, 1}, {b.tail_at() + 64, 1}};
  EXPECT_THAT(warnings_of(b.file()), ElementsAre(HasSubstr("footer: the checksum")));
  b.words32 = {{512 + 36, 1}};
  EXPECT_THAT(warnings_of(b.file()), ElementsAre(HasSubstr("dynamic header: the checksum")));
  EXPECT_THAT(test::firsts_of_vhd(b.file(), 4096), ElementsAre(20, 0, 10));
}

TEST(VhdParse, ReadsNothingFromAFileThatIsNoVhd) {
  for (const size_t size : {0u, 1u, 511u, 512u, 5000u}) {
    const auto file = std::make_shared<MemoryFile>("x", std::vector<std::byte>(size));
    const auto image = open_vhd(file);
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code(), Errc::wrong_format);
  }
}

TEST(VhdParse, AFixedDiskThatWasCutReadsAsZeroesThere) {
  VhdBuilder b = fixed_disk();
  b.disk_size = 12 * 512;
  EXPECT_THAT(test::sectors_of_vhd(b.file()), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0));
  EXPECT_THAT(warnings_of(b.file()), ElementsAre(HasSubstr("holds 4096 bytes")));
}

TEST(VhdParseAttack, OtherVersion) {
  VhdBuilder b = two_blocks();
  b.version = 0x20000;
  expect_refused(b, Errc::unsupported, "footer: unsupported VHD version 2.0");
}

TEST(VhdParseAttack, OtherVersionOfTheHeader) {
  VhdBuilder b = two_blocks();
  b.header_words32[24] = 0x20000;
  expect_refused(b, Errc::unsupported, "dynamic header: unsupported VHD version 2.0");
}

TEST(VhdParseAttack, DiskTypeThatIsNone) {
  for (const uint32_t type : {0u, 1u, 5u, 6u, 0xffffffffu}) {
    VhdBuilder b = two_blocks();
    b.footer_words32[60] = type;
    expect_refused(b, Errc::corrupt, "footer: disk type");
  }
}

TEST(VhdParseAttack, DiskOfNoSize) {
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{511}, uint64_t{0xff000000} * 512 + 512, ~uint64_t{0}}) {
    VhdBuilder b = two_blocks();
    b.disk_size = size;
    expect_refused(b, Errc::corrupt, "footer: a disk of");
  }
}

TEST(VhdParseAttack, HeaderPastTheEndOfTheFile) {
  for (const uint64_t at :
       {uint64_t{1} << 63, ~uint64_t{0} - 100, ~uint64_t{0}, uint64_t{100000}}) {
    VhdBuilder b = two_blocks();
    b.footer_words32 = {{16, at >> 32}, {20, at & 0xffffffff}};
    expect_refused(b, Errc::corrupt, "footer: the dynamic header at");
  }
}

TEST(VhdParseAttack, HeaderOverTheFooter) {
  VhdBuilder b = two_blocks();
  b.footer_words32 = {{16, 0}, {20, 0}};
  expect_refused(b, Errc::corrupt, "footer: the dynamic header at 0");
}

TEST(VhdParseAttack, HeaderWithoutItsSignature) {
  VhdBuilder b = two_blocks();
  b.header_words32[0] = 0;
  expect_refused(b, Errc::corrupt, "dynamic header: no signature");
}

TEST(VhdParseAttack, BlocksOfNoSize) {
  for (const uint32_t size : {0u, 1u, 256u, 4095u, 0x20000000u, 0x80000000u, 0xffffffffu}) {
    VhdBuilder b = two_blocks();
    b.header_words32[32] = size;
    expect_refused(b, Errc::corrupt, "dynamic header: blocks of");
  }
}

TEST(VhdParseAttack, TableTooSmallForTheDisk) {
  VhdBuilder b = two_blocks();
  b.disk_size = 4 * 4096;
  expect_refused(b, Errc::corrupt, "block allocation table: too small: its 3 blocks");
}

TEST(VhdParseAttack, TablePastTheEndOfTheFile) {
  VhdBuilder b = two_blocks();
  b.entries = 0xffffffff;
  expect_refused(b, Errc::corrupt, "ends past the end of the data");
  b = two_blocks();
  b.header_words32[16] = 0xffffffff;
  b.header_words32[20] = 0xfffffff0;
  expect_refused(b, Errc::corrupt, "ends past the end of the data");
}

TEST(VhdParseAttack, TableOverTheFooterAtTheEnd) {
  VhdBuilder b = two_blocks();
  b.header_words32[20] = b.tail_at() - 4;
  expect_refused(b, Errc::corrupt, "ends past the end of the data");
}

TEST(VhdParseAttack, TableOverTheHeaders) {
  for (const uint32_t at : {0u, 508u, 512u, 1532u}) {
    VhdBuilder b = two_blocks();
    b.header_words32[20] = at;
    expect_refused(b, Errc::corrupt, "lies over the headers");
  }
}

TEST(VhdParseAttack, LocatorsThatAreNotInTheFile) {
  VhdBuilder b = two_blocks();
  b.type = 4;
  b.locators = {{.code = "W2ru", .text = "x", .length = 0xffffffff},
                {.code = "W2ru", .text = "x", .offset = ~uint64_t{0}},
                {.code = "W2ru", .text = "x", .length = 70000}};
  b.point({1, -1, 0});
  EXPECT_THAT(warnings_of(b.file()), testing::SizeIs(3));
}

// 64 TiB would be 32 million entries; this format ends at 2040 GiB.
TEST(VhdParse, OpensTheLargestDiskWithoutReadingItsTable) {
  VhdBuilder b{.disk_size = uint64_t{0xff000000} * 512, .block_size = 512};
  b.entries = 0xff000000;
  b.head_copy = true;
  b.tail = false;
  b.file_size = uint64_t{20} * GiB;
  const auto image = open_vhd(b.file());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), uint64_t{0xff000000} * 512);
}

}  // namespace
}  // namespace platter::vhd
