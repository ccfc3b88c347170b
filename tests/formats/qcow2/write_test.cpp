// Writing to images that are damaged, marked, or at the limit of their tables. What all formats
// must do is in the contract suite.
#include <gtest/gtest.h>

#include "formats/qcow2/parse.h"
#include "lib/container/view.h"
#include "tests/formats/qcow2/image_builder.h"
#include "tests/support/crash_file.h"

namespace platter::qcow2::test {
namespace {

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

TEST(Qcow2Write, ADirtyOrCorruptImageIsOnlyRead) {
  for (const Incompatible bit : {Incompatible::dirty, Incompatible::corrupt}) {
    ImageBuilder builder;
    builder.incompatible(bit);
    Opened opened;
    open(opened, builder.file());
    ASSERT_FALSE(opened.image);
    EXPECT_EQ(opened.image.error().code(), Errc::unsupported);
    EXPECT_TRUE(builder.open());
  }
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

// With 64 counts in a block and 64 blocks in a table of one cluster, 2 MiB of the file are all
// that can be counted: the disk does not fit. After each write the power is lost; what the header
// names then must be whole, so that all that was flushed is there.
TEST(Qcow2Write, TheRefcountTableGrowsAndNoPowerCutShowsIt) {
  constexpr uint64_t kDisk = 3 * MiB;
  const auto file = std::make_shared<platter::test::CrashFile>();
  const Options options{{"cluster_size", "512"}, {"refcount_bits", "64"}};
  auto writer =
      find_format("qcow2")->create(CreateRequest{.file = file, .size = kDisk, .options = options});
  ASSERT_TRUE(writer && (*writer)->finish());
  const uint64_t old_table = parse_header(*file)->refcount_table.offset;
  Opened opened;
  open(opened, file);
  ASSERT_TRUE(opened.image);
  Image& image = **opened.image;
  ASSERT_TRUE(image.begin_writing());
  std::mt19937_64 random(5);
  const std::vector<std::byte> ones(512, std::byte{1});
  uint64_t growths = 0, flushed = 0;
  uint64_t place = old_table;
  for (uint64_t at = 0; at < kDisk; at += 512) {
    const auto reservation = image.reserve({at, 512});
    ASSERT_TRUE(reservation) << reservation.error().message();
    const uint64_t now = parse_header(*file)->refcount_table.offset;
    if (now != place || at % (256 * KiB) == 0) {
      growths += now != place ? 1 : 0;
      place = now;
      const auto after = file->crash(random);
      Opened crashed;
      open(crashed, after);
      ASSERT_TRUE(crashed.image) << crashed.image.error().message();
      const Result<void> sound = (*crashed.image)->begin_writing();
      ASSERT_TRUE(sound) << sound.error().message();
      if (flushed != 0) {
        const auto seen = read(**crashed.image, {0, flushed});
        ASSERT_TRUE(seen && *seen == std::vector(flushed, std::byte{1}));
      }
    }
    ASSERT_TRUE(file->write(reservation->host, ones));
    ASSERT_TRUE(image.publish(*reservation));
    if (random() % 300 == 0) {
      ASSERT_TRUE(image.flush(true));
      flushed = at + 512;
    }
  }
  ASSERT_TRUE(image.flush(true));
  EXPECT_GE(growths, 1U);
  const auto seen = read(image, {0, kDisk});
  ASSERT_TRUE(seen && *seen == std::vector(kDisk, std::byte{1}));
}

}  // namespace
}  // namespace platter::qcow2::test
