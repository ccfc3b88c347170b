#include "formats/qcow2/qcow2_image.h"

#include <libdeflate.h>

#include "tests/formats/qcow2/image_builder.h"

namespace platter::qcow2 {
namespace {

using test::all_of;
using test::expect_read_fails;
using test::ImageBuilder;
using test::must_open;
using test::read;
using Kind = Extent::Kind;

Extent must_map(const Image& image, const Range& want) {
  const auto extent = image.map(want);
  EXPECT_TRUE(extent) << extent.error().message();
  return extent ? *extent : Extent{};
}

std::vector<std::byte> deflate(const std::vector<std::byte>& plain) {
  libdeflate_compressor* compressor = libdeflate_alloc_compressor(6);
  std::vector<std::byte> out(libdeflate_deflate_compress_bound(compressor, plain.size()));
  out.resize(
      libdeflate_deflate_compress(compressor, plain.data(), plain.size(), out.data(), out.size()));
  libdeflate_free_compressor(compressor);
  return out;
}

// The entry of a stream of size bytes at host.
uint64_t compressed_entry(uint32_t cluster_bits, uint64_t host, uint64_t size) {
  const uint64_t more = (host % 512 + size - 1) / 512;
  return kCompressed | more << (62 - (cluster_bits - 8)) | host;
}

TEST(Qcow2Map, TellsDataFromZeroFromUnallocated) {
  ImageBuilder b;
  b.set_l2(2, 1);
  const ImagePtr image = must_open(b);
  const Extent data = must_map(*image, {100, 2000});
  EXPECT_EQ(data.kind, Kind::data);
  EXPECT_EQ(data.guest, (Range{100, 412}));
  EXPECT_EQ(data.host, 5 * b.cs + 100);
  EXPECT_EQ(data.file, image->files().front().get());
  EXPECT_EQ(must_map(*image, {512, 2000}).kind, Kind::absent);
  EXPECT_EQ(must_map(*image, {512, 2000}).guest, (Range{512, 512}));
  EXPECT_EQ(must_map(*image, {1024, 1}).kind, Kind::zero);
  EXPECT_EQ(*read(*image, {0, 512}), all_of(0xd5, 512));
  EXPECT_EQ(*read(*image, {511, 2}), (std::vector{std::byte{0xd5}, std::byte{0}}));
}

TEST(Qcow2Map, MergesClustersThatLieSideBySide) {
  ImageBuilder b;
  b.fill(6 * b.cs, 4 * b.cs, 0xee);
  b.set_l2(1, 6 * b.cs | kCopied);
  b.set_l2(2, 7 * b.cs);  // shared with a snapshot: no less data
  b.set_l2(3, 9 * b.cs);  // a gap in the file
  b.set_l2(4, 1);
  b.set_l2(5, 8 * b.cs | 1);  // zero, though it keeps its cluster
  const ImagePtr image = must_open(b);
  EXPECT_EQ(must_map(*image, {0, 32 * b.cs}).guest, (Range{0, 3 * b.cs}));
  EXPECT_EQ(must_map(*image, {3 * b.cs, 20 * b.cs}).guest, (Range{3 * b.cs, b.cs}));
  EXPECT_EQ(must_map(*image, {4 * b.cs, 20 * b.cs}).guest, (Range{4 * b.cs, 2 * b.cs}));
  EXPECT_EQ(must_map(*image, {6 * b.cs, 20 * b.cs}).guest, (Range{6 * b.cs, 20 * b.cs}));
}

TEST(Qcow2Map, GoesThroughAnEmptyDiskInFewSteps) {
  ImageBuilder b(3, 16, 8);
  b.header.l1_size = 1 << 17;
  b.header.size = uint64_t{1} << 46;
  b.header.l1_table_offset = 6 * b.cs;
  b.bytes.resize(6 * b.cs + (uint64_t{8} << 17));
  const ImagePtr image = must_open(b);
  uint64_t at = 0;
  int steps = 0;
  for (; at < image->size(); ++steps) at = must_map(*image, {at, image->size() - at}).guest.end();
  EXPECT_EQ(at, image->size());
  EXPECT_LE(steps, 256);  // one a page of the L1 table
}

TEST(Qcow2Map, StopsWhereAnotherTableWouldHaveToBeRead) {
  ImageBuilder b(3, 9, 128);
  b.put64(3 * b.cs + 8, 7 * b.cs | 0x100000000);  // a table past the end of the file
  const ImagePtr image = must_open(b);
  EXPECT_EQ(must_map(*image, {b.cs, 127 * b.cs}).guest, (Range{b.cs, 63 * b.cs}));
  EXPECT_FALSE(image->map({64 * b.cs, 1}));
}

TEST(Qcow2Map, FailsForAnL2TablePastTheEndOfTheFile) {
  ImageBuilder b;
  b.put64(3 * b.cs, 6 * b.cs);
  expect_read_fails(b, 0, "L1 table entry 0: its table lies past the end of the file");
  b.put64(3 * b.cs, kOffsetMask);
  expect_read_fails(b, 0, "L1 table entry 0: its table lies past the end of the file");
}

// Reads from bad_from on fail as those of a broken disk.
class BadDisk final : public File {
 public:
  BadDisk(FilePtr file, uint64_t bad_from) : file_(std::move(file)), bad_from_(bad_from) {}
  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override { return file_->stat(); }
  Result<void> write(uint64_t offset, Bytes data) override { return file_->write(offset, data); }
  Result<void> resize(uint64_t size) override { return file_->resize(size); }
  Result<void> sync() override { return file_->sync(); }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    if (offset >= bad_from_) return Error(Errc::io, "cannot read: Input/output error", 5);
    return file_->read_available(offset, out);
  }
  FilePtr file_;
  uint64_t bad_from_;
};

TEST(Qcow2Map, DoesNotTakeAReadErrorForCorruption) {
  const ImageBuilder b(3, 16);
  const auto resolver = map_resolver({});
  const auto image =
      find_format("qcow2")->open(OpenRequest{.file = std::make_shared<BadDisk>(b.file(), 4 * b.cs),
                                             .resolver = *resolver,
                                             .tables = std::make_shared<PageCache>(1 * MiB)});
  ASSERT_TRUE(image) << image.error().message();
  const auto extent = (*image)->map({0, 1});
  ASSERT_FALSE(extent);
  EXPECT_EQ(extent.error().code(), Errc::io);
  EXPECT_EQ(extent.error().sys_errno(), 5);
}

TEST(Qcow2Map, FailsForAnUnalignedL2Table) {
  ImageBuilder b(3, 16);
  b.put64(3 * b.cs, 4 * b.cs + 512);
  expect_read_fails(b, 0, "L2 table at 0x40200 unaligned");
}

TEST(Qcow2Map, FailsForAnUnalignedCluster) {
  ImageBuilder b(3, 16);
  b.set_l2(3, 5 * b.cs + 512);
  expect_read_fails(b, 3 * b.cs, "L1 table entry 0: L2 entry 3 has an unaligned cluster");
  EXPECT_EQ(*read(*must_open(b), {0, 1}), all_of(0xd5, 1)) << "its neighbours can be read";
}

TEST(Qcow2Map, FailsForAZeroClusterInVersion2) {
  ImageBuilder b(2);
  b.set_l2(1, 1);
  expect_read_fails(b, b.cs, "version 2");
}

TEST(Qcow2Map, FailsForAClusterPastTheEndOfTheFile) {
  ImageBuilder b;
  b.set_l2(0, 6 * b.cs);
  expect_read_fails(b, 0, "L2 entry 0 has a cluster past the end of the file (0xc00)");
  b.set_l2(0, kOffsetMask);
  expect_read_fails(b, 0, "past the end of the file");
}

TEST(Qcow2Map, ReadsWhatTheLastClusterOfTheFileLacksAsZeroes) {
  ImageBuilder b;
  b.set_l2(1, 6 * b.cs);
  b.fill(6 * b.cs, 100, 0xee);
  b.set_l2(2, 7 * b.cs);
  const ImagePtr image = must_open(b);
  EXPECT_EQ(must_map(*image, {0, 4096}).guest, (Range{0, 612}));
  const Extent tail = must_map(*image, {700, 4096});
  EXPECT_EQ(tail.kind, Kind::zero);
  EXPECT_EQ(tail.guest, (Range{700, 324}));
  EXPECT_FALSE(image->map({1024, 1}));
}

TEST(Qcow2Compressed, ReadsAtEveryClusterSize) {
  for (uint32_t bits = 9; bits <= 21; ++bits) {
    ImageBuilder b(3, bits);
    std::vector<std::byte> plain(b.cs);
    for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<std::byte>(i / 37);
    const auto stream = deflate(plain);
    const uint64_t host = b.bytes.size() + 333;  // at any byte
    b.put_bytes(host, stream);
    b.set_l2(2, compressed_entry(bits, host, stream.size()));
    const ImagePtr image = must_open(b);
    const Extent extent = must_map(*image, {2 * b.cs + 5, 100});
    EXPECT_EQ(extent.kind, Kind::encoded);
    EXPECT_EQ(extent.guest, (Range{2 * b.cs + 5, 100}));
    EXPECT_EQ(extent.unit, (Range{2 * b.cs, b.cs}));
    EXPECT_EQ(extent.host, host);
    const auto bytes = read(*image, {2 * b.cs, b.cs});
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(*bytes, plain) << bits;
  }
}

TEST(Qcow2Compressed, DecodesAWholeClusterWhereTheDiskEndsInsideIt) {
  ImageBuilder b(3, 16);
  b.header.size = 65536 + 512;
  const auto stream = deflate(all_of(0x77, b.cs));
  b.put_bytes(6 * b.cs, stream);
  b.set_l2(1, compressed_entry(16, 6 * b.cs, stream.size()));
  const ImagePtr image = must_open(b);
  EXPECT_EQ(*read(*image, {65536, 512}), all_of(0x77, 512));
}

TEST(Qcow2Compressed, FailsForAStreamPastTheEndOfTheFile) {
  ImageBuilder b;
  b.set_l2(0, compressed_entry(9, 6 * b.cs, 100));
  expect_read_fails(b, 0, "compressed cluster past the end of the file");
}

TEST(Qcow2Compressed, FailsForADamagedStream) {
  ImageBuilder b;
  b.fill(6 * b.cs, b.cs, 0xff);
  b.set_l2(0, compressed_entry(9, 6 * b.cs, 512));
  expect_read_fails(b, 0, "deflate stream is damaged");
  b.incompatible(Incompatible::compression);
  b.header.compression_type = 1;
  expect_read_fails(b, 0, "zstd frame is damaged");
}

// Section "Extended L2 Entries" of the specification; the bitmap QEMU makes of a write of 10 KiB at
// 36 KiB in a cluster of 64.
TEST(Qcow2Extended, ReadsSubclusters) {
  ImageBuilder b(3, 16);
  b.incompatible(Incompatible::extended_l2);
  b.set_l2(0, 5 * b.cs | kCopied, 0xffffffff);
  b.fill(6 * b.cs, b.cs, 0xee);
  b.set_l2(1, 6 * b.cs | kCopied, 0x007c0000);
  b.set_l2(2, 0, 0xffffffff'00000000);
  b.set_l2(3, 0, 0x0000ffff'00000000);
  const ImagePtr image = must_open(b);
  EXPECT_EQ(must_map(*image, {0, 32 * b.cs}).guest, (Range{0, b.cs}));
  EXPECT_EQ(must_map(*image, {b.cs, 32 * b.cs - b.cs}).guest, (Range{b.cs, 36 * KiB}));
  const Extent data = must_map(*image, {b.cs + 36 * KiB, b.cs});
  EXPECT_EQ(data.kind, Kind::data);
  EXPECT_EQ(data.guest.length, 10 * KiB);
  EXPECT_EQ(data.host, 6 * b.cs + 36 * KiB);
  const Extent rest = must_map(*image, {b.cs + 46 * KiB, b.cs});
  EXPECT_EQ(rest.kind, Kind::absent);
  EXPECT_EQ(rest.guest.length, 18 * KiB);
  const Extent zero = must_map(*image, {2 * b.cs, 10 * b.cs});
  EXPECT_EQ(zero.kind, Kind::zero);
  EXPECT_EQ(zero.guest.length, b.cs + b.cs / 2) << "on into the first half of the next cluster";
}

TEST(Qcow2Extended, FailsForAnInvalidBitmap) {
  ImageBuilder b(3, 16);
  b.incompatible(Incompatible::extended_l2);
  b.set_l2(0, 5 * b.cs | kCopied, 0x00000001'00000001);
  expect_read_fails(b, 0, "both allocated and zero");
  b.set_l2(0, 0, 1);
  expect_read_fails(b, 0, "no cluster");
}

ImageBuilder with_named_data_file() {
  ImageBuilder b;
  b.incompatible(Incompatible::external_data);
  b.extension(ExtensionType::data_file, "d.raw");
  b.set_l2(0, kCopied);  // at 0 of the data file
  b.set_l2(1, 512 | kCopied);
  return b;
}

FilePtr data_file(uint64_t size) {
  return std::make_shared<MemoryFile>("d.raw", all_of(0xda, size));
}

TEST(Qcow2DataFile, HoldsTheGuestsBytes) {
  const ImagePtr image = must_open(with_named_data_file(), {{"d.raw", data_file(1024)}});
  ASSERT_TRUE(image);
  EXPECT_EQ(image->files().size(), 2U);
  EXPECT_EQ(must_map(*image, {0, 4096}).guest, (Range{0, 1024}));
  EXPECT_EQ(must_map(*image, {0, 4096}).file, image->files()[1].get());
  EXPECT_EQ(*read(*image, {0, 1024}), all_of(0xda, 1024));
  EXPECT_EQ(must_map(*image, {1024, 512}).kind, Kind::absent);
}

TEST(Qcow2DataFile, IsNotOpenedForInfo) {
  const auto image = with_named_data_file().open({}, true);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->files().size(), 1U);
  EXPECT_FALSE((*image)->map({0, 1}));
}

TEST(Qcow2DataFile, RefusesWhenItIsMissing) {
  const auto image = with_named_data_file().open();
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::not_found);
  EXPECT_EQ(image.error().message(), "its data file \"d.raw\" is missing");
}

TEST(Qcow2DataFile, FailsWhereHostAndGuestOffsetDiffer) {
  ImageBuilder b = with_named_data_file();
  b.set_l2(1, 1024 | kCopied);
  const ImagePtr image = must_open(b, {{"d.raw", data_file(4096)}});
  const auto extent = image->map({512, 1});
  ASSERT_FALSE(extent);
  EXPECT_NE(extent.error().message().find("another place of the data file"), std::string::npos);
}

TEST(Qcow2DataFile, FailsForACompressedCluster) {
  ImageBuilder b = with_named_data_file();
  b.set_l2(1, compressed_entry(9, 5 * b.cs, 100));
  const ImagePtr image = must_open(b, {{"d.raw", data_file(4096)}});
  EXPECT_FALSE(image->map({512, 1}));
}

// The image `qemu-img create -o cluster_size=512 tiny.qcow2 64k` and
// `qemu-io -c 'write -P 0xaa 1024 512' -c 'write -c -P 0xbb 2048 512' -c 'write -z 3072 512'` make.
TEST(Qcow2WorkedExample, ReadsByteForByte) {
  ImageBuilder b(3, 9, 128);
  b.bytes.assign(0xc08, std::byte{0});
  b.header.l1_size = 2;
  b.header.l1_table_offset = 0x600;
  b.header.refcount_table_offset = 0x200;
  b.put64(0x200, 0x400);
  for (uint64_t i = 0; i < 7; ++i) b.put(0x400 + 2 * i, be16(1));
  b.put64(0x600, 0x80000000'00000800);
  b.put64(0x810, 0x80000000'00000a00);
  b.put64(0x820, 0x40000000'00000c00);
  b.put64(0x830, 0x00000000'00000001);
  b.fill(0xa00, 512, 0xaa);
  b.put64(0xc00, 0xdbbd7b14'8c640000);
  const ImagePtr image = must_open(b);
  ASSERT_TRUE(image);
  EXPECT_EQ(b.file()->stat()->size, 3080U);
  std::vector<std::byte> expected(64 * KiB);
  std::fill_n(expected.begin() + 1024, 512, std::byte{0xaa});
  std::fill_n(expected.begin() + 2048, 512, std::byte{0xbb});
  const auto bytes = read(*image, {0, 64 * KiB});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, expected);
  EXPECT_EQ(must_map(*image, {3072, 512}).kind, Kind::zero);
  EXPECT_EQ(must_map(*image, {32 * KiB, 32 * KiB}).guest.length, 32 * KiB);
}

}  // namespace
}  // namespace platter::qcow2
