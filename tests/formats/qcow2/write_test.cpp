// Writing to images that are damaged, marked, or at the limit of their tables. What all formats
// must do is in the contract suite.
#include <gtest/gtest.h>

#include "formats/qcow2/parse.h"
#include "lib/container/view.h"
#include "tests/formats/qcow2/check_image.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::qcow2::test {
namespace {

using platter::test::Call;
using platter::test::WrappedFile;

struct Opened {
  Epochs epochs;
  FilePtr file;
  Result<ImagePtr> image = Error(Errc::io, "");
};

void open(Opened& out, FilePtr file) {
  const auto denied = deny_resolver("no other file is part of this");
  out.file = std::move(file);
  out.image = find_format("qcow2")->open(OpenRequest{.file = out.file,
                                                     .resolver = *denied,
                                                     .tables = std::make_shared<PageCache>(MiB),
                                                     .writable = true,
                                                     .epochs = &out.epochs});
}

uint64_t word_at(const File& file, uint64_t offset) { return *file.read_struct<be64>(offset); }

bool marked_corrupt(const File& file) {
  return (word_at(file, offsetof(RawHeader, incompatible_features)) &
          static_cast<uint64_t>(Incompatible::corrupt)) != 0;
}

// The message of the error that begin_writing() or a write to the range gives.
std::string write_error(Image& image, const Range& range) {
  Result<void> begun = image.begin_writing();
  if (!begun) return begun.error().message();
  const Result<Reservation> reserved = image.reserve(range);
  return reserved ? "" : reserved.error().message();
}

TEST(Qcow2Write, ACorruptImageIsOnlyRead) {
  ImageBuilder builder;
  builder.incompatible(Incompatible::corrupt);
  Opened opened;
  open(opened, builder.file());
  ASSERT_FALSE(opened.image);
  EXPECT_EQ(opened.image.error().code(), Errc::unsupported);
  EXPECT_TRUE(builder.open());
}

// As a program with lazy refcounts leaves it that was killed: the data cluster is not counted, and
// the next that is taken must not be it.
TEST(Qcow2Write, ADirtyImageIsRepairedBeforeItIsWritten) {
  ImageBuilder builder;
  builder.incompatible(Incompatible::dirty);
  builder.put(2 * builder.cs + 2 * 5, be16(0));
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image) << opened.image.error().message();
  EXPECT_FALSE(parse_header(*opened.file)->dirty);
  EXPECT_FALSE((*opened.image)->info().dirty);
  EXPECT_EQ(write_error(**opened.image, {512, 512}), "");
  const auto seen = read(**opened.image, {0, builder.cs});
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen, std::vector(builder.cs, std::byte{0xd5}));
}

// An entry that is not aligned stays as it is.
TEST(Qcow2Write, ADirtyImageThatCannotBeRepairedIsOnlyRead) {
  ImageBuilder builder(3, 10);
  builder.incompatible(Incompatible::dirty);
  builder.set_l2(1, (5 * builder.cs + 512) | kCopied);
  Opened opened;
  open(opened, builder.file());
  ASSERT_FALSE(opened.image);
  EXPECT_EQ(opened.image.error().code(), Errc::unsupported);
}

TEST(Qcow2Write, ATableThatCountsAsFreeIsNotOverwritten) {
  for (const uint64_t cluster : {1U, 2U, 3U, 4U}) {
    ImageBuilder builder;
    builder.put(2 * builder.cs + 2 * cluster, be16(0));
    Opened opened;
    open(opened, builder.file());
    ASSERT_TRUE(opened.image);
    EXPECT_FALSE(marked_corrupt(*opened.file));
    EXPECT_NE(write_error(**opened.image, {512, 512}), "") << cluster;
    EXPECT_TRUE(marked_corrupt(*opened.file)) << cluster;
    // From then on nothing is written, not even where it would be harmless.
    EXPECT_NE(write_error(**opened.image, {1024, 512}), "");
    const auto extent = (*opened.image)->map({0, 512});
    ASSERT_TRUE(extent);
    EXPECT_FALSE(extent->in_place);
  }
}

TEST(Qcow2Write, AnEntryThatPointsAtATableIsNotWrittenThrough) {
  for (const uint64_t cluster : {1U, 2U, 3U, 4U}) {
    ImageBuilder builder;
    builder.set_l2(0, cluster * builder.cs | kCopied);
    Opened opened;
    open(opened, builder.file());
    ASSERT_TRUE(opened.image);
    ASSERT_TRUE((*opened.image)->begin_writing());
    const auto extent = (*opened.image)->map({0, 512});
    ASSERT_TRUE(extent);
    EXPECT_FALSE(extent->in_place) << cluster;
    EXPECT_NE(write_error(**opened.image, {0, 512}), "") << cluster;
    EXPECT_TRUE(marked_corrupt(*opened.file));
  }
}

TEST(Qcow2Write, TablesThatShareAClusterAreNotWritten) {
  ImageBuilder builder;
  builder.put64(3 * builder.cs, 2 * builder.cs | kCopied);
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image);
  EXPECT_NE(write_error(**opened.image, {0, 512}).find("overlaps another table"),
            std::string::npos);
}

TEST(Qcow2Write, AnL2TableAtTheHeadersPlaceIsNone) {
  ImageBuilder builder(3, 9, 128);
  builder.put64(3 * builder.cs + 8, kCopied);
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image);
  ASSERT_EQ(write_error(**opened.image, {64 * builder.cs, 512}), "");
  ASSERT_TRUE((*opened.image)->flush(true));
  EXPECT_EQ(word_at(*opened.file, 0) >> 32, kMagic);
  EXPECT_EQ(word_at(*opened.file, 3 * builder.cs + 8) & ~kCopied, 6 * builder.cs);
}

TEST(Qcow2Write, UnknownAutoclearFeaturesAreCleared) {
  ImageBuilder builder;
  builder.header.autoclear_features = uint64_t{1} << 40;
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(word_at(*opened.file, offsetof(RawHeader, autoclear_features)), uint64_t{1} << 40);
  ASSERT_TRUE((*opened.image)->begin_writing());
  EXPECT_EQ(word_at(*opened.file, offsetof(RawHeader, autoclear_features)), 0U);
}

// Two bitmaps in a directory at cluster 6.
ImageBuilder with_bitmaps(uint64_t directory_bytes) {
  ImageBuilder builder;
  RawBitmaps bitmaps;
  bitmaps.count = 2;
  bitmaps.directory_size = directory_bytes;
  bitmaps.directory_offset = 6 * builder.cs;
  const Bytes raw = as_bytes_of(bitmaps);
  builder.extension(ExtensionType::bitmaps,
                    {reinterpret_cast<const char*>(raw.data()), raw.size()});
  builder.header.autoclear_features = kBitmapsValid;
  RawBitmapEntry entry;
  entry.flags = 2;  // auto
  entry.name_size = 5;
  builder.put(6 * builder.cs, entry);
  builder.put(6 * builder.cs + 32, entry);
  builder.fill(7 * builder.cs - 1, 1, 0);
  builder.put(2 * builder.cs + 12, be16(1));
  return builder;
}

TEST(Qcow2Write, BitmapsAreMarkedAsInUse) {
  const ImageBuilder builder = with_bitmaps(64);
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image) << opened.image.error().message();
  ASSERT_TRUE((*opened.image)->begin_writing());
  for (const uint64_t at : {6 * builder.cs, 6 * builder.cs + 32}) {
    EXPECT_EQ(opened.file->read_struct<RawBitmapEntry>(at)->flags, 3U);
  }
  EXPECT_EQ(word_at(*opened.file, offsetof(RawHeader, autoclear_features)), kBitmapsValid);
}

TEST(Qcow2Write, ABitmapDirectoryThatEndsTooEarlyIsGivenUp) {
  const ImageBuilder builder = with_bitmaps(40);
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image) << opened.image.error().message();
  ASSERT_TRUE((*opened.image)->begin_writing());
  EXPECT_EQ(opened.file->read_struct<RawBitmapEntry>(6 * builder.cs)->flags, 2U);
  EXPECT_EQ(word_at(*opened.file, offsetof(RawHeader, autoclear_features)), 0U);
}

TEST(Qcow2Write, ABitmapDirectoryIsNotOverwritten) {
  ImageBuilder builder = with_bitmaps(64);
  builder.put(2 * builder.cs + 12, be16(0));
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image);
  EXPECT_NE(write_error(**opened.image, {512, 512}), "");
}

// 512-byte clusters; guest clusters 0 and 9 are the image's own already.
TEST(Qcow2Write, WholeClustersInARowAreOneReservation) {
  ImageBuilder builder;
  const uint64_t cs = builder.cs;
  builder.fill(6 * cs, cs, 0xd6);
  builder.put(2 * cs + 2 * 6, be16(1));
  builder.set_l2(9, 6 * cs | kCopied);
  Opened opened;
  open(opened, builder.file());
  ASSERT_TRUE(opened.image);
  Image& image = **opened.image;
  ASSERT_TRUE(image.begin_writing());
  const auto all = image.reserve({cs, 20 * cs});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->covers, (Range{cs, 8 * cs}));
  image.abandon(*all);
  // The clusters it had are the first that are taken again.
  const auto again = image.reserve({2 * cs, 3 * cs + 100});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->covers, (Range{2 * cs, 3 * cs}));
  EXPECT_EQ(again->host, all->host);
  EXPECT_FALSE(again->zeroed);
  const auto partial = image.reserve({10 * cs + 1, 5 * cs});
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->covers, (Range{10 * cs, cs}));
  ASSERT_TRUE(opened.file->write(again->host, std::vector(3 * cs, std::byte{7})));
  ASSERT_TRUE(image.publish(*again));
  image.abandon(*partial);
  ASSERT_TRUE(image.flush(true));
  for (uint64_t i = 1; i < 9; ++i) {
    const auto seen = read(image, {i * cs, cs});
    ASSERT_TRUE(seen);
    const bool written = i >= 2 && i < 5;
    EXPECT_EQ(*seen, std::vector(cs, std::byte{written ? uint8_t{7} : uint8_t{0}})) << i;
  }
  for (uint64_t i = 0; i < 8; ++i) {
    const auto count = opened.file->read_struct<be16>(2 * cs + 2 * (all->host / cs + i));
    ASSERT_TRUE(count);
    EXPECT_EQ(uint64_t{*count}, i < 3 ? 1U : 0U) << i;
  }
}

TEST(Qcow2Write, TheMarkOfDamageOutlastsAPowerCut) {
  ImageBuilder builder;
  builder.set_l2(0, builder.cs | kCopied);
  const auto file = std::make_shared<platter::test::CrashFile>(*builder.file());
  Opened opened;
  open(opened, file);
  ASSERT_TRUE(opened.image);
  EXPECT_NE(write_error(**opened.image, {0, 512}), "");
  std::mt19937_64 random(3);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(marked_corrupt(*file->crash(random)));
}

// Whether what a power cut leaves can be written to and has the first bytes of the disk, all ones.
void expect_whole(const FilePtr& after, uint64_t flushed) {
  Opened crashed;
  open(crashed, after);
  ASSERT_TRUE(crashed.image) << crashed.image.error().message();
  const Result<void> sound = (*crashed.image)->begin_writing();
  ASSERT_TRUE(sound) << sound.error().message();
  EXPECT_EQ(checked(after).corruptions, 0U);
  if (flushed == 0) return;
  const auto seen = read(**crashed.image, {0, flushed});
  ASSERT_TRUE(seen && *seen == std::vector(flushed, std::byte{1}));
}

// With 64 counts in a block and 64 blocks in a table of one cluster, 2 MiB of the file are all
// that can be counted: the disk does not fit. Power is lost at every call that a growth makes; what
// the header names then must be whole, so that all that was flushed is there.
TEST(Qcow2Write, TheRefcountTableGrowsAndNoPowerCutShowsIt) {
  constexpr uint64_t kDisk = 3 * MiB;
  const auto file = std::make_shared<platter::test::CrashFile>();
  const Options options{{"cluster_size", "512"}, {"refcount_bits", "64"}};
  auto writer =
      find_format("qcow2")->create(CreateRequest{.file = file, .size = kDisk, .options = options});
  ASSERT_TRUE(writer && (*writer)->finish());
  const uint64_t old_table = parse_header(*file)->refcount_table.offset;
  std::mt19937_64 random(5);
  uint64_t flushed = 0;
  bool reserving = false;
  const auto cut = [&](Call call) -> Result<void> {
    if (reserving && (call == Call::write || call == Call::sync)) {
      for (int i = 0; i < 4; ++i) expect_whole(file->crash(random), flushed);
    }
    return {};
  };
  Opened opened;
  open(opened, std::make_shared<WrappedFile>(file, cut));
  ASSERT_TRUE(opened.image);
  Image& image = **opened.image;
  ASSERT_TRUE(image.begin_writing());
  const std::vector<std::byte> ones(512, std::byte{1});
  for (uint64_t at = 0; at < kDisk && !testing::Test::HasFailure(); at += 512) {
    reserving = true;
    const auto reservation = image.reserve({at, 512});
    reserving = false;
    ASSERT_TRUE(reservation) << reservation.error().message();
    ASSERT_TRUE(file->write(reservation->host, ones));
    ASSERT_TRUE(image.publish(*reservation));
    if (random() % 300 == 0) {
      ASSERT_TRUE(image.flush(true));
      flushed = at + 512;
    }
  }
  ASSERT_TRUE(image.flush(true));
  EXPECT_NE(parse_header(*file)->refcount_table.offset, old_table);
  expect_whole(file, kDisk);
}

}  // namespace
}  // namespace platter::qcow2::test
