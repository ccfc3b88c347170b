#include "formats/qcow/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/qcow/image_builder.h"

namespace platter::qcow {
namespace {

using test::ImageBuilder;
using testing::HasSubstr;

void expect_refused(ImageBuilder builder, Errc code, const std::string& message) {
  const auto header = parse_header(*builder.file());
  ASSERT_FALSE(header) << message;
  EXPECT_EQ(header.error().code(), code) << header.error().message();
  EXPECT_THAT(header.error().message(), HasSubstr(message));
}

TEST(QcowParse, TakesTheFieldsOfASoundHeader) {
  const auto header = parse_header(*ImageBuilder(100 * KiB).file());
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->size, 100 * KiB);
  EXPECT_EQ(header->cluster_size(), 512u);
  EXPECT_EQ(header->table_bytes(), 512u);
  EXPECT_EQ(header->table_span(), 32 * KiB);
  EXPECT_EQ(header->l1_entries, 4u);
  EXPECT_EQ(header->l1_offset, 48u);
  EXPECT_TRUE(header->backing_file.empty());
}

TEST(QcowParse, ReadsTheNameOfTheBackingFile) {
  const auto header = parse_header(*ImageBuilder().backing("src.raw").file());
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->backing_file, "src.raw");
  EXPECT_EQ(header->l1_offset, 56u);
}

TEST(QcowParse, IgnoresALengthOfANameThatIsNotThere) {
  ImageBuilder b;
  b.header.backing_file_size = 0xffffffff;
  EXPECT_TRUE(parse_header(*b.file()));
}

TEST(QcowParse, RoundsADiskDownToWholeSectors) {
  const auto header = parse_header(*ImageBuilder(1025).file());
  ASSERT_TRUE(header);
  EXPECT_EQ(header->size, 1024u);
  EXPECT_EQ(header->warnings.size(), 1u);
}

TEST(QcowParse, LeavesQcow2ToOthers) {
  for (const uint32_t version : {0U, 2U, 3U}) {
    ImageBuilder b;
    b.header.version = version;
    expect_refused(b, Errc::wrong_format, "version 1");
  }
  ImageBuilder other;
  other.header.magic = 0x514649fa;
  expect_refused(other, Errc::wrong_format, "version 1");
}

TEST(QcowParse, RejectsATruncatedHeader) {
  ImageBuilder b;
  b.bytes.resize(sizeof(RawHeader));
  const auto whole = b.file();
  for (uint64_t size = 0; size < sizeof(RawHeader); ++size) {
    MemoryFile file("cut", b.bytes);
    ASSERT_TRUE(file.resize(size));
    EXPECT_FALSE(parse_header(file)) << size;
  }
}

TEST(QcowParse, KnowsAesAndNoOtherEncryption) {
  ImageBuilder b;
  b.header.crypt_method = 1;
  EXPECT_TRUE(parse_header(*b.file())->encrypted);
  b.header.crypt_method = 2;
  expect_refused(b, Errc::unsupported, "encryption method 2");
}

TEST(QcowParse, RejectsClustersAndTablesOutOfRange) {
  for (const int bits : {0, 8, 17, 63, 64, 255}) {
    ImageBuilder b;
    b.header.cluster_bits = static_cast<uint8_t>(bits);
    expect_refused(b, Errc::corrupt, "cluster size");
  }
  // CVE-2014-0222.
  for (const int bits : {0, 5, 14, 63, 64, 255}) {
    ImageBuilder b;
    b.header.l2_bits = static_cast<uint8_t>(bits);
    expect_refused(b, Errc::corrupt, "L2 tables");
  }
}

TEST(QcowParse, RejectsADiskOfNoSector) {
  for (const uint64_t size : {0U, 1U, 511U}) {
    expect_refused(ImageBuilder(size), Errc::corrupt, "less than a sector");
  }
}

// CVE-2014-0223: the number of L1 entries would wrap, and the table be too short.
TEST(QcowParse, RejectsASizeThatWouldWrapTheL1Table) {
  for (const uint64_t size : {~uint64_t{0}, ~uint64_t{0} - 32 * KiB + 2, uint64_t{1} << 63}) {
    expect_refused(ImageBuilder(size), Errc::corrupt, "more than 8 EiB");
  }
}

TEST(QcowParse, RejectsAnL1TableTooLargeForAnybody) {
  ImageBuilder b((kMaxL1Entries + 1) * 32 * KiB);
  expect_refused(b, Errc::corrupt, "L1 table: too large");
}

TEST(QcowParse, RejectsAnL1TablePastTheEndOfTheFile) {
  ImageBuilder b(100 * 32 * KiB);
  expect_refused(b, Errc::corrupt, "past the end of the file");
  ImageBuilder far;
  far.header.l1_table_offset = ~uint64_t{7};
  expect_refused(far, Errc::corrupt, "past the end of the file");
}

TEST(QcowParse, RejectsAnL1TableInsideTheHeaderOrUnaligned) {
  for (const uint64_t at : {0U, 40U, 47U}) {
    ImageBuilder b;
    b.header.l1_table_offset = at;
    expect_refused(b, Errc::corrupt, "inside the header");
  }
  ImageBuilder b;
  b.header.l1_table_offset = 52;
  expect_refused(b, Errc::corrupt, "not aligned");
}

TEST(QcowParse, RejectsNamesOutsideTheFileOrOverOtherThings) {
  const auto named = [](uint64_t offset, uint32_t size) {
    ImageBuilder b;
    b.header.backing_file_offset = offset;
    b.header.backing_file_size = size;
    return b;
  };
  expect_refused(named(100, 1024), Errc::corrupt, "too long");
  expect_refused(named(500, 13), Errc::corrupt, "past the end of the file");
  expect_refused(named(~uint64_t{0}, 2), Errc::corrupt, "past the end of the file");
  expect_refused(named(47, 10), Errc::corrupt, "inside the header");
  expect_refused(named(60, 10), Errc::corrupt, "inside the L1 table");
}

TEST(QcowParse, RejectsANulInsideAName) {
  ImageBuilder b;
  b.backing(std::string("a\0b", 3));
  expect_refused(b, Errc::corrupt, "NUL");
}

TEST(QcowParse, IsProbedByVersionOneOnly) {
  const auto file = ImageBuilder().file();
  const auto probed = probe(*file);
  ASSERT_TRUE(probed);
  EXPECT_EQ(probed->format->name(), "qcow");
  EXPECT_FALSE(probed->guessed);
}

}  // namespace
}  // namespace platter::qcow
