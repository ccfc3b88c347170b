#include "formats/qcow2/parse.h"

#include <algorithm>

#include "tests/formats/qcow2/image_builder.h"

namespace platter::qcow2 {
namespace {

using test::expect_refused;
using test::ImageBuilder;
using test::must_open;

template <class T>
T detail(const Image& image, std::string_view key) {
  for (const auto& [name, value] : image.info().details) {
    if (name == key && std::holds_alternative<T>(value)) return std::get<T>(value);
  }
  ADD_FAILURE() << "no detail " << key;
  return {};
}

bool warns(const Image& image, std::string_view part) {
  const auto& all = image.info().warnings;
  return std::any_of(all.begin(), all.end(), [&](const std::string& warning) {
    return warning.find(part) != std::string::npos;
  });
}

TEST(Qcow2Probe, ClaimsVersionsFromTwoOn) {
  const Format& format = *find_format("qcow2");
  ImageBuilder b;
  const auto probe = [&](size_t bytes) {
    std::vector<std::byte> head(bytes);
    EXPECT_TRUE(b.file()->read_exact(0, head));
    return format.probe({.name = "x", .size = head.size(), .head = head, .tail = head});
  };
  EXPECT_EQ(probe(512), Match::sure);
  EXPECT_EQ(probe(8), Match::sure);
  EXPECT_EQ(probe(7), Match::no);
  b.header.version = 1;
  EXPECT_EQ(probe(512), Match::no);
  b.header.version = 77;
  EXPECT_EQ(probe(512), Match::sure);
  b.header.magic = 0x514649fc;
  EXPECT_EQ(probe(512), Match::no);
}

TEST(Qcow2Header, TellsWhatItSays) {
  ImageBuilder b(3, 16);
  b.header.refcount_order = 6;
  b.header.compatible_features = kLazyRefcounts;
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->size(), 32 * b.cs);
  EXPECT_EQ(image->info().format, "qcow2");
  EXPECT_EQ(image->info().variant, "v3");
  EXPECT_EQ(image->info().block_size, 64 * KiB);
  EXPECT_FALSE(image->info().parent);
  EXPECT_TRUE(image->info().warnings.empty());
  EXPECT_EQ(detail<std::string>(*image, "compat"), "1.1");
  EXPECT_EQ(detail<uint64_t>(*image, "cluster_size"), 64 * KiB);
  EXPECT_EQ(detail<uint64_t>(*image, "refcount_bits"), 64U);
  EXPECT_TRUE(detail<bool>(*image, "lazy_refcounts"));
  EXPECT_EQ(detail<std::string>(*image, "compression_type"), "zlib");
  EXPECT_FALSE(detail<bool>(*image, "extended_l2"));
}

TEST(Qcow2Header, OfVersion2HasImpliedFields) {
  const ImagePtr image = must_open(ImageBuilder(2));
  ASSERT_TRUE(image);
  EXPECT_EQ(detail<std::string>(*image, "compat"), "0.10");
  EXPECT_EQ(detail<uint64_t>(*image, "refcount_bits"), 16U);
}

TEST(Qcow2Header, Of104BytesHasNoCompressionType) {
  ImageBuilder b;
  b.header.header_length = kHeaderV3Size;
  b.header.compression_type = 1;
  b.extension(ExtensionType::backing_format, "raw");
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(detail<std::string>(*image, "compression_type"), "zlib");
}

TEST(Qcow2Header, LongerThanWeKnowOpens) {
  ImageBuilder b;
  b.header.header_length = 120;
  b.put64(112, ~uint64_t{0});
  b.extension(0x12345678, 3, "abc");
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(detail<uint64_t>(*image, "unknown_extensions"), 1U);
}

TEST(Qcow2Header, RejectsAnotherMagic) {
  ImageBuilder b;
  b.header.magic = 0x514649fa;
  expect_refused(b, Errc::wrong_format, "magic");
}

TEST(Qcow2Header, RejectsVersion1AndVersion4) {
  ImageBuilder b;
  b.header.version = 1;
  expect_refused(b, Errc::wrong_format, "version 1");
  b.header.version = 4;
  expect_refused(b, Errc::unsupported, "version 4 is not supported");
}

TEST(Qcow2Header, RejectsATruncatedOne) {
  for (const uint32_t version : {2U, 3U}) {
    ImageBuilder b(version);
    b.bytes.resize(version == 2 ? kHeaderV2Size - 1 : kHeaderV3Size - 1);
    expect_refused(b, Errc::corrupt, "header: truncated");
  }
}

TEST(Qcow2Header, RejectsClusterBitsOutOfRange) {
  for (const uint32_t bits : {0U, 8U, 22U, 63U, 64U, 0xffffffffU}) {
    ImageBuilder b;
    b.header.cluster_bits = bits;
    expect_refused(b, Errc::corrupt, "cluster size 2^");
  }
}

TEST(Qcow2Header, RejectsALengthOutOfRange) {
  ImageBuilder b;
  b.header.header_length = 96;
  expect_refused(b, Errc::corrupt, "too short");
  b.header.header_length = 520;
  expect_refused(b, Errc::corrupt, "longer than a cluster");
  b.header.header_length = 0xfffffff8;
  expect_refused(b, Errc::corrupt, "longer than a cluster");
  b.header.header_length = 105;
  expect_refused(b, Errc::corrupt, "multiple of 8");
}

TEST(Qcow2Header, RoundsAnOddSizeDownToSectors) {
  ImageBuilder b;
  b.header.size = 1024 + 700;
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->size(), 1536U);
  EXPECT_TRUE(warns(*image, "rounded down"));
}

TEST(Qcow2Header, OfADiskOfNoSizeNeedsNoTable) {
  ImageBuilder b;
  b.header.size = 0;
  b.header.l1_size = 0;
  b.header.l1_table_offset = 0;
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->size(), 0U);
}

TEST(Qcow2Features, ShowDirtyAndCorrupt) {
  ImageBuilder b;
  b.incompatible(Incompatible::dirty);
  b.incompatible(Incompatible::corrupt);
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_TRUE(image->info().dirty);
  EXPECT_TRUE(image->info().corrupt);
  EXPECT_TRUE(warns(*image, "marked as corrupt"));
}

TEST(Qcow2Features, IgnoreUnknownCompatibleAndAutoclearBits) {
  ImageBuilder b;
  b.header.compatible_features = uint64_t{1} << 40;
  b.header.autoclear_features = uint64_t{1} << 41;
  EXPECT_TRUE(must_open(b));
}

TEST(Qcow2Features, RejectAnUnknownIncompatibleOneByItsName) {
  ImageBuilder b(3, 12);
  b.header.incompatible_features = uint64_t{1} << 5 | uint64_t{1} << 63;
  RawFeatureName name{.kind = 0, .bit = 5};
  std::fill(name.name.begin(), name.name.end(), 'x');  // full: no NUL
  RawFeatureName other{.kind = 1, .bit = 63, .name = {'n', 'o'}};
  std::string table(reinterpret_cast<const char*>(&name), sizeof name);
  table.append(reinterpret_cast<const char*>(&other), sizeof other);
  b.extension(ExtensionType::feature_names, table);
  expect_refused(b, Errc::unsupported, "\"" + std::string(46, 'x') + "\", bit 63");
}

TEST(Qcow2Features, RejectACompressionTypeWithoutItsBit) {
  ImageBuilder b;
  b.header.compression_type = 1;
  expect_refused(b, Errc::corrupt, "compression type");
  b.header.compression_type = 0;
  b.incompatible(Incompatible::compression);
  expect_refused(b, Errc::corrupt, "compression type");
  b.header.compression_type = 2;
  expect_refused(b, Errc::unsupported, "compression type 2");
  b.header.compression_type = 1;
  EXPECT_TRUE(must_open(b));
}

TEST(Qcow2Features, RejectARefcountOrderAboveSix) {
  for (const uint32_t order : {7U, 32U, 0xffffffffU}) {
    ImageBuilder b;
    b.header.refcount_order = order;
    expect_refused(b, Errc::corrupt, "refcounts of 2^");
  }
}

TEST(Qcow2Features, RejectExtendedEntriesInSmallClusters) {
  ImageBuilder b(3, 13);
  b.incompatible(Incompatible::extended_l2);
  expect_refused(b, Errc::corrupt, "extended L2");
}

TEST(Qcow2Features, RejectEncryptionOfALaterKind) {
  for (const uint32_t method : {3U, 0xffff'ffffU}) {
    ImageBuilder b;
    b.header.crypt_method = method;
    expect_refused(b, Errc::unsupported, "encryption method ");
  }
}

TEST(Qcow2Backing, BecomesTheParent) {
  for (const uint32_t version : {2U, 3U}) {
    ImageBuilder b(version);
    b.extension(ExtensionType::backing_format, "raw");
    b.backing("base.img");
    const ImagePtr image = must_open(b);
    ASSERT_TRUE(image);
    ASSERT_TRUE(image->info().parent);
    EXPECT_EQ(image->info().parent->reference, "base.img");
    EXPECT_EQ(image->info().parent->format, "raw");
  }
}

TEST(Qcow2Backing, MayEndWithTheFirstCluster) {
  ImageBuilder b;
  b.backing("x", 511);
  EXPECT_EQ(must_open(b)->info().parent->reference, "x");
  b.backing("", 512);
  EXPECT_FALSE(must_open(b)->info().parent);
}

TEST(Qcow2Backing, DropsNulsBehindTheName) {
  ImageBuilder b;
  b.backing(std::string_view("base\0\0", 6));
  EXPECT_EQ(must_open(b)->info().parent->reference, "base");
}

TEST(Qcow2Backing, RejectsANulInTheName) {
  ImageBuilder b;
  b.backing(std::string_view("ba\0se", 5));
  expect_refused(b, Errc::corrupt, "NUL");
}

TEST(Qcow2Backing, RejectsANamePastTheFirstCluster) {
  ImageBuilder b;
  b.backing("base");
  b.header.backing_file_offset = 513;
  expect_refused(b, Errc::corrupt, "not in the first cluster");
  b.header.backing_file_offset = ~uint64_t{0};
  expect_refused(b, Errc::corrupt, "not in the first cluster");
  b.header.backing_file_offset = 510;
  b.header.backing_file_size = 3;
  expect_refused(b, Errc::corrupt, "too long");
}

TEST(Qcow2Backing, RejectsANameLongerThan1023) {
  ImageBuilder b(3, 12);
  b.backing(std::string(1023, 'x'));
  EXPECT_TRUE(must_open(b));
  b.backing(std::string(1024, 'x'));
  expect_refused(b, Errc::corrupt, "too long");
  b.header.backing_file_size = 0xffffffff;
  expect_refused(b, Errc::corrupt, "too long");
}

TEST(Qcow2Backing, RejectsANameThatAliasesTheHeader) {
  ImageBuilder b;
  b.backing("base", 40);
  expect_refused(b, Errc::corrupt, "inside the header");
}

TEST(Qcow2Backing, RejectsANamePastTheEndOfTheFile) {
  ImageBuilder b;
  b.backing("base");
  b.bytes.resize(386);
  expect_refused(b, Errc::corrupt, "backing file name: past the end");
}

TEST(Qcow2Extensions, RejectALengthThatOverflows) {
  for (const uint32_t length : {0xfffffff0U, 0xffffffffU, 393U}) {
    ImageBuilder b;
    b.extension(0x11111111, length, "");
    expect_refused(b, Errc::corrupt, "too large");
  }
}

TEST(Qcow2Extensions, RejectOneThatRunsIntoTheBackingName) {
  ImageBuilder b;
  b.extension(0x11111111, 300, "");
  EXPECT_TRUE(must_open(b));
  b.backing("base", 300);
  expect_refused(b, Errc::corrupt, "too large");
}

TEST(Qcow2Extensions, MayLackTheirEndMarker) {
  ImageBuilder b;
  b.extension(0x11111111, 384, std::string(384, 'x'));
  b.extension(0x11111111, 0, "");  // the last eight bytes of the cluster
  EXPECT_TRUE(must_open(b));
}

TEST(Qcow2Extensions, OfOneTypeAreCountedOnce) {
  ImageBuilder b;
  b.extension(ExtensionType::backing_format, "raw");
  b.extension(ExtensionType::backing_format, "vdi");
  b.backing("base");
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->info().parent->format, "vdi");
  EXPECT_TRUE(warns(*image, "two of backing format"));
}

TEST(Qcow2Extensions, RejectTwoDataFilesBitmapsOrKeys) {
  for (const auto type :
       {ExtensionType::data_file, ExtensionType::bitmaps, ExtensionType::encryption}) {
    ImageBuilder b;
    const size_t size = type == ExtensionType::encryption ? 16 : 24;
    b.extension(type, std::string(size, 'x'));
    b.extension(type, std::string(size, 'x'));
    expect_refused(b, Errc::corrupt, "two of");
  }
}

TEST(Qcow2Extensions, RejectABackingFormatOf16Bytes) {
  ImageBuilder b;
  b.extension(ExtensionType::backing_format, "0123456789abcdef");
  expect_refused(b, Errc::corrupt, "backing format name of 16 bytes");
}

TEST(Qcow2RefcountTable, RejectsNoClustersAndTooMany) {
  ImageBuilder b;
  b.header.refcount_table_clusters = 0;
  expect_refused(b, Errc::corrupt, "refcount table: has no clusters");
  // 2^23 clusters of 512 bytes are 0 bytes in 32 bits.
  for (const uint32_t clusters : {16385U, 0x800000U, 0xffffffffU}) {
    b.header.refcount_table_clusters = clusters;
    expect_refused(b, Errc::corrupt, "refcount table: too large");
  }
}

TEST(Qcow2RefcountTable, RejectsAPlaceThatCannotBe) {
  ImageBuilder b;
  b.header.refcount_table_offset = 0;
  expect_refused(b, Errc::corrupt, "refcount table: at the header's place");
  b.header.refcount_table_offset = 513;
  expect_refused(b, Errc::corrupt, "refcount table: 0x201 is not aligned");
  b.header.refcount_table_offset = 6 * b.cs;
  expect_refused(b, Errc::corrupt, "refcount table: past the end of the file");
  b.header.refcount_table_offset = ~uint64_t{511};
  expect_refused(b, Errc::corrupt, "refcount table: past the end of the file");
}

TEST(Qcow2RefcountTable, MayBeCutShortByTheEndOfTheFile) {
  ImageBuilder b;
  b.header.refcount_table_offset = 6 * b.cs;
  b.put64(6 * b.cs, 2 * b.cs);
  EXPECT_TRUE(must_open(b));
}

TEST(Qcow2L1, RejectsMoreThan32MiB) {
  for (const uint32_t entries : {4194305U, 0x20000000U, 0xffffffffU}) {
    ImageBuilder b;
    b.header.l1_size = entries;
    expect_refused(b, Errc::corrupt, "L1 table: too large");
  }
}

TEST(Qcow2L1, RejectsOneTooSmallForTheDisk) {
  ImageBuilder b;
  b.header.size = 64 * 512 + 512;
  expect_refused(b, Errc::corrupt, "L1 table: too small");
  b.header.size = ~uint64_t{0};
  expect_refused(b, Errc::corrupt, "L1 table: too small");
  b.header.l1_size = 4194304;
  expect_refused(b, Errc::corrupt, "L1 table: too small");
}

TEST(Qcow2L1, RejectsAPlaceThatCannotBe) {
  ImageBuilder b;
  b.header.l1_table_offset = 0;
  expect_refused(b, Errc::corrupt, "L1 table: at the header's place");
  b.header.l1_table_offset = 3 * b.cs + 8;
  expect_refused(b, Errc::corrupt, "L1 table: 0x608 is not aligned");
  b.header.l1_table_offset = 6 * b.cs;
  expect_refused(b, Errc::corrupt, "L1 table: past the end of the file");
  b.header.l1_table_offset = ~uint64_t{511};
  expect_refused(b, Errc::corrupt, "L1 table: past the end of the file");
  b.header.l1_table_offset = 5 * b.cs;
  b.header.l1_size = 65;
  expect_refused(b, Errc::corrupt, "L1 table: past the end of the file");
}

TEST(Qcow2L1, MayBeLongerThanTheDiskNeeds) {
  ImageBuilder b;
  b.header.l1_size = 64;
  EXPECT_TRUE(must_open(b));
}

TEST(Qcow2BareHeader, OpensWithEverythingUnallocated) {
  ImageBuilder b(2, 16);
  b.bytes.resize(4096);
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_TRUE(image->info().corrupt);
  EXPECT_TRUE(warns(*image, "all data is missing"));
  const auto extent = image->map({0, image->size()});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->kind, Extent::Kind::absent);
  EXPECT_EQ(extent->guest, (Range{0, 32 * b.cs}));
}

TEST(Qcow2BareHeader, EndsWithTheFirstCluster) {
  ImageBuilder b;
  b.bytes.resize(512);
  EXPECT_TRUE(must_open(b));
  b.bytes.resize(513);
  expect_refused(b, Errc::corrupt, "past the end of the file");
}

TEST(Qcow2DataFile, RejectsARawOneThatIsNotThere) {
  ImageBuilder b;
  b.header.autoclear_features = kRawDataFile;
  expect_refused(b, Errc::corrupt, "says its data file is raw, but has none");
}

TEST(Qcow2DataFile, RejectsARawOneBesideABackingFile) {
  ImageBuilder b;
  b.incompatible(Incompatible::external_data);
  b.header.autoclear_features = kRawDataFile;
  b.extension(ExtensionType::data_file, "d.raw");
  b.backing("base");
  expect_refused(b, Errc::corrupt, "exclude each other");
}

TEST(Qcow2DataFile, RejectsOneWithoutAName) {
  ImageBuilder b;
  b.incompatible(Incompatible::external_data);
  expect_refused(b, Errc::corrupt, "its name is missing from the header");
}

TEST(Qcow2DataFile, RejectsSnapshotsBesideIt) {
  ImageBuilder b;
  b.incompatible(Incompatible::external_data);
  b.extension(ExtensionType::data_file, "d.raw");
  b.header.nb_snapshots = 1;
  b.header.snapshots_offset = 5 * b.cs;
  expect_refused(b, Errc::corrupt, "internal snapshots");
}

}  // namespace
}  // namespace platter::qcow2
