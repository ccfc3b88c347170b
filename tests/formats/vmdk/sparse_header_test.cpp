// Headers of sparse extents that cannot be right; each named after what is wrong.
#include "formats/vmdk/sparse_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/vmdk_builder.h"

namespace platter::vmdk {
namespace {

using test::VmdkBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<SparseHeader> parse(const VmdkBuilder& builder) {
  return parse_sparse_header(*builder.file());
}

std::string header_refused(const VmdkBuilder& builder, Errc code = Errc::corrupt) {
  const auto header = parse(builder);
  if (header) return "";
  EXPECT_EQ(header.error().code(), code);
  return header.error().message();
}

TEST(VmdkSparseHeader, TakesWhatItSays) {
  const auto header = parse({.version = 2, .flags = 7, .unclean = 1});
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->version, 2u);
  EXPECT_EQ(header->layout.capacity, 75u * 512);
  EXPECT_EQ(header->layout.grain, 4096u);
  EXPECT_EQ(header->layout.entries, 1u);
  EXPECT_EQ(header->layout.directory, 26u * 512);
  EXPECT_EQ(header->layout.redundant, 21u * 512);
  EXPECT_EQ(header->layout.first_grain, 32u * 512);
  EXPECT_TRUE(header->layout.zeroed_grains);
  EXPECT_TRUE(header->layout.unclean);
  EXPECT_EQ(header->descriptor, (Range{512, 20 * 512}));
  EXPECT_THAT(header->warnings, IsEmpty());
}

TEST(VmdkSparseHeader, RejectsAnotherSignature) {
  EXPECT_THAT(header_refused({.magic = 0x564d444c}, Errc::wrong_format), HasSubstr("signature"));
}

TEST(VmdkSparseHeader, RejectsLaterVersions) {
  EXPECT_THAT(header_refused({.version = 4}, Errc::unsupported), HasSubstr("version 4"));
  EXPECT_THAT(header_refused({.version = 0}, Errc::unsupported), HasSubstr("version 0"));
  EXPECT_TRUE(parse({.version = 3}));
}

TEST(VmdkSparseHeader, RejectsAFileThatWasTransferredAsAText) {
  EXPECT_THAT(header_refused({.newlines = "\n \n\n"}), HasSubstr("line ends were converted"));
  EXPECT_TRUE(parse({.flags = 2, .newlines = "\n \n\n"}));
}

TEST(VmdkSparseHeader, RejectsGrainsThatCannotBe) {
  for (const uint64_t grain :
       {uint64_t{0}, uint64_t{4}, uint64_t{12}, uint64_t{0x400000}, uint64_t{1} << 63}) {
    EXPECT_THAT(header_refused({.grain = grain}), HasSubstr("grains of")) << grain;
  }
}

TEST(VmdkSparseHeader, RejectsTablesThatCannotBe) {
  for (const uint32_t entries : {0U, 100U, 131072U, 0x80000000U}) {
    EXPECT_THAT(header_refused({.per_table = entries}), HasSubstr("grain tables of")) << entries;
  }
}

TEST(VmdkSparseHeader, RejectsCapacitiesThatCannotBe) {
  EXPECT_THAT(header_refused({.capacity = 0}), HasSubstr("a capacity of"));
  EXPECT_THAT(header_refused({.capacity = uint64_t{1} << 55}), HasSubstr("a capacity of"));
  EXPECT_THAT(header_refused({.capacity = ~uint64_t{0}}), HasSubstr("a capacity of"));
}

// CVE-2014-0144: a directory whose size overflows or exhausts memory.
TEST(VmdkSparseHeader, RejectsACapacityWhoseDirectoryIsHuge) {
  EXPECT_THAT(header_refused({.capacity = uint64_t{1} << 53}), HasSubstr("directory is too large"));
}

TEST(VmdkSparseHeader, RejectsADirectoryPastTheEndOfTheFile) {
  EXPECT_THAT(header_refused({.flags = 1, .directory_at = 1000}),
              HasSubstr("the grain directory at"));
  EXPECT_THAT(header_refused({.flags = 1, .directory_at = uint64_t{1} << 56}),
              HasSubstr("directory"));
  EXPECT_THAT(header_refused({.flags = 1, .directory_at = 0}), HasSubstr("no grain directory"));
  EXPECT_THAT(header_refused({.flags = 1, .capacity = uint64_t{1} << 40}), HasSubstr("directory"));
}

TEST(VmdkSparseHeader, TakesTheRedundantDirectoryInPlaceOfADamagedOne) {
  const auto header = parse({.directory_at = 1000});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->layout.directory, 21u * 512);
  EXPECT_EQ(header->layout.redundant, 0u);
  EXPECT_THAT(header->warnings, ElementsAre(HasSubstr("the redundant one is used")));
  EXPECT_NE(header_refused({.redundant_at = 2000, .directory_at = 1000}), "");
}

TEST(VmdkSparseHeader, DoesWithoutARedundantDirectoryThatIsDamaged) {
  const auto header = parse({.redundant_at = 1000});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->layout.redundant, 0u);
  EXPECT_THAT(header->warnings, ElementsAre(HasSubstr("redundant grain directory at")));
  const auto same = parse({.redundant_at = 26});
  ASSERT_TRUE(same);
  EXPECT_EQ(same->layout.redundant, 0u);
  EXPECT_THAT(same->warnings, ElementsAre(HasSubstr("over one another")));
}

TEST(VmdkSparseHeader, RejectsADescriptorPastTheEndOfTheFileOrTooLong) {
  EXPECT_THAT(header_refused({.descriptor_size = 3000}), HasSubstr("a descriptor of 3000"));
  EXPECT_THAT(header_refused({.descriptor_size = 40}), HasSubstr("the descriptor at"));
  EXPECT_THAT(header_refused({.words = {{28, 0xffffffff}, {32, 0xffffffff}}}),
              HasSubstr("descriptor"));
}

TEST(VmdkSparseHeader, RejectsAFileThatIsShorterThanItsMetadata) {
  EXPECT_THAT(header_refused({.file_size = 31 * 512}), HasSubstr("end of the metadata"));
  EXPECT_THAT(header_refused({.words = {{68, 0x80000000}}}), HasSubstr("end of the metadata"));
  EXPECT_NE(header_refused({.file_size = 100}), "");
}

TEST(VmdkSparseHeader, RejectsOtherCompression) {
  EXPECT_THAT(header_refused({.flags = 0x30003, .compression = 2}, Errc::unsupported),
              HasSubstr("compression 2"));
  EXPECT_THAT(header_refused({.compression = 1}), HasSubstr("but no compressed grains"));
  EXPECT_THAT(
      header_refused({.flags = 0x30003, .grain = 0x20000, .compression = 1}, Errc::unsupported),
      HasSubstr("compressed grains of"));
}

TEST(VmdkSparseHeader, ADirectoryInAFooterThatIsNotThereNeedsMarkers) {
  const VmdkBuilder builder{
      .version = 3, .flags = 0x10001, .directory_at = ~uint64_t{0}, .compression = 1};
  EXPECT_THAT(header_refused(builder), HasSubstr("footer is missing"));
  VmdkBuilder with_markers = builder;
  with_markers.flags = 0x30001;
  const auto header = parse(with_markers);
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->footer_missing);
}

TEST(VmdkSparseHeader, WarnsOfUnknownFlags) {
  const auto header = parse({.flags = 0x103});
  ASSERT_TRUE(header);
  EXPECT_THAT(header->warnings, ElementsAre(HasSubstr("unknown flags 0x100")));
  EXPECT_THAT(parse({})->warnings, IsEmpty());
}

// "COWD": magic, version, flags, sectors, grain, directory, its entries.
std::shared_ptr<MemoryFile> cowd(std::vector<uint32_t> words, size_t size = 8192) {
  auto file = std::make_shared<MemoryFile>("x");
  EXPECT_TRUE(file->resize(size));
  const std::vector<uint32_t> usual = {0x44574f43, 1, 3, 100, 1, 4, 1};
  words.resize(usual.size(), 0xeeeeeeee);
  for (size_t i = 0; i < usual.size(); ++i) {
    const uint32_t word = words[i] == 0xeeeeeeee ? usual[i] : words[i];
    EXPECT_TRUE(file->write(4 * i, as_bytes_of(le32(word))));
  }
  return file;
}
constexpr uint32_t kUsual = 0xeeeeeeee;

TEST(VmdkCowdHeader, RejectsWhatCannotBe) {
  EXPECT_TRUE(parse_cowd_header(*cowd({})));
  EXPECT_EQ(parse_cowd_header(*cowd({5})).error().code(), Errc::wrong_format);
  EXPECT_EQ(parse_cowd_header(*cowd({kUsual, 2})).error().code(), Errc::unsupported);
  const auto refused_cowd = [](const std::vector<uint32_t>& words) {
    const auto header = parse_cowd_header(*cowd(words));
    return header ? "" : header.error().message();
  };
  EXPECT_THAT(refused_cowd({kUsual, kUsual, kUsual, 0}), HasSubstr("a capacity of 0"));
  EXPECT_THAT(refused_cowd({kUsual, kUsual, kUsual, kUsual, 3}), HasSubstr("grains of 3"));
  EXPECT_THAT(refused_cowd({kUsual, kUsual, kUsual, kUsual, 0}), HasSubstr("grains of 0"));
  EXPECT_THAT(refused_cowd({kUsual, kUsual, kUsual, 9000}),
              HasSubstr("of 1 entries, 3 are needed"));
  EXPECT_THAT(refused_cowd({kUsual, kUsual, kUsual, kUsual, kUsual, 2}),
              HasSubstr("over the header"));
  EXPECT_THAT(refused_cowd({kUsual, kUsual, kUsual, kUsual, kUsual, 0xffffffff}),
              HasSubstr("past the end"));
  EXPECT_FALSE(parse_cowd_header(*cowd({}, 2000)));
}

}  // namespace
}  // namespace platter::vmdk
