// What the header's extensions tell: encryption, bitmaps, names of features.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/qcow2/parse.h"
#include "tests/formats/qcow2/image_builder.h"

namespace platter::qcow2 {
namespace {

using test::expect_refused;
using test::ImageBuilder;
using test::must_open;

// With an extension that says where the LUKS header is.
ImageBuilder with_luks_at(uint64_t offset, uint64_t length) {
  ImageBuilder b;
  b.header.crypt_method = 2;
  const RawEncryption place{offset, length};
  const Bytes bytes = as_bytes_of(place);
  b.extension(ExtensionType::encryption,
              {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return b;
}

TEST(Qcow2Encryption, OpensWithoutAKeyAndGivesNothingOut) {
  for (ImageBuilder b : {ImageBuilder(), with_luks_at(512, 600)}) {
    if (b.header.crypt_method == 0) b.header.crypt_method = 1;
    const ImagePtr image = must_open(b);
    ASSERT_TRUE(image);
    EXPECT_TRUE(image->info().encrypted);
    const auto bytes = test::read(*image, {0, 512});
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code(), Errc::no_key);
    // Where nothing is allocated there is nothing to decrypt.
    EXPECT_TRUE(test::read(*image, {512, 512}));
  }
}

TEST(Qcow2Encryption, RejectsALuksImageThatDoesNotSayWhereItsHeaderIs) {
  ImageBuilder b;
  b.header.crypt_method = 2;
  expect_refused(b, Errc::corrupt, "the encryption header's place is missing");
}

TEST(Qcow2Encryption, RejectsAHeaderThatNothingNeeds) {
  for (const uint32_t method : {0U, 1U}) {
    ImageBuilder b = with_luks_at(512, 600);
    b.header.crypt_method = method;
    expect_refused(b, Errc::corrupt, "but no LUKS encryption");
  }
}

TEST(Qcow2Encryption, RejectsAHeaderThatIsUnalignedOrOutsideTheFile) {
  for (const uint64_t offset : {0ULL, 513ULL, 0xffff'ffff'ffff'ff00ULL}) {
    expect_refused(with_luks_at(offset, 600), Errc::corrupt, "not aligned to a cluster");
  }
  for (const auto& [offset, length] :
       std::vector<std::pair<uint64_t, uint64_t>>{{512, 0},
                                                  {512, ~uint64_t{0}},
                                                  {512, 6 * 512},
                                                  {uint64_t{1} << 60, 600},
                                                  {0xffff'ffff'ffff'fe00, 600}}) {
    expect_refused(with_luks_at(offset, length), Errc::corrupt, "past the end of the file");
  }
}

TEST(Qcow2Encryption, RejectsAPointerOfAnotherSize) {
  for (const size_t size : {0U, 8U, 15U, 17U, 24U}) {
    ImageBuilder b;
    b.header.crypt_method = 2;
    b.extension(ExtensionType::encryption, std::string(size, 'x'));
    expect_refused(b, Errc::corrupt, "instead of 16");
  }
}

// The directory is where the data cluster was: entries of 24 bytes and a name.
ImageBuilder with_bitmaps(uint32_t count, uint64_t directory_bytes) {
  ImageBuilder b;
  RawBitmaps raw{.count = count, .directory_size = directory_bytes, .directory_offset = 5 * b.cs};
  b.extension(ExtensionType::bitmaps, {reinterpret_cast<const char*>(&raw), sizeof raw});
  b.header.autoclear_features = kBitmapsValid;
  b.set_l2(0, 0);
  RawBitmapEntry entry{.flags = 0x80000003, .type = 1, .granularity_bits = 16, .name_size = 2};
  for (uint64_t at = 0; at < 128; at += 32) {
    b.put(5 * b.cs + at, entry);
    b.put_text(5 * b.cs + at + sizeof entry, "b");
    b.put(5 * b.cs + at + sizeof entry + 1, static_cast<uint8_t>('0' + at / 32));
  }
  return b;
}

TEST(Qcow2Bitmaps, AreListedOnlyWithTheirBit) {
  ImageBuilder b = with_bitmaps(2, 64);
  const ImagePtr with = must_open(b);
  const ImageInfo& info = with->info();
  ASSERT_EQ(info.bitmaps.size(), 2u);
  EXPECT_EQ(info.bitmaps[0].name, "b0");
  EXPECT_EQ(info.bitmaps[1].name, "b1");
  EXPECT_EQ(info.bitmaps[1].granularity, 64 * KiB);
  EXPECT_EQ(info.bitmaps[1].flags, (std::vector<std::string>{"in-use", "auto", "bit 31"}));
  EXPECT_TRUE(info.warnings.empty());
  b.header.autoclear_features = 0;
  EXPECT_TRUE(must_open(b)->info().bitmaps.empty());
}

TEST(Qcow2Bitmaps, BehindABadEntryAreNotListed) {
  const auto warned = [](const ImageBuilder& b, size_t listed, std::string_view part) {
    const ImagePtr image = must_open(b);
    ASSERT_TRUE(image);
    EXPECT_EQ(image->info().bitmaps.size(), listed);
    ASSERT_EQ(image->info().warnings.size(), 1u);
    EXPECT_NE(image->info().warnings[0].find(part), std::string::npos) << image->info().warnings[0];
  };
  warned(with_bitmaps(65535, 64), 2, "bitmap 2: past the end of the directory");
  ImageBuilder extra = with_bitmaps(3, 96);
  extra.put(5 * extra.cs + 32 + 20, be32(0xffffffff));
  warned(extra, 1, "bitmap 1: past the end of the directory");
  ImageBuilder granularity = with_bitmaps(3, 96);
  granularity.put(5 * granularity.cs + 64 + 17, uint8_t{64});
  warned(granularity, 2, "bitmap 2: a granularity of 2^64");
  ImageBuilder name = with_bitmaps(3, 96);
  name.put(5 * name.cs + 18, be16(0));
  warned(name, 0, "bitmap 0: a name of 0 bytes");
}

TEST(Qcow2Features, GoByTheirNamesOrThoseOfTheImageOrTheirNumbers) {
  ImageBuilder b;
  RawFeatureName named{.kind = 1, .bit = 7};
  std::copy_n("new thing", 9, named.name.begin());
  b.extension(ExtensionType::feature_names, {reinterpret_cast<const char*>(&named), sizeof named});
  b.header.compatible_features = uint64_t{1} << 63 | 1 << 7 | kLazyRefcounts;
  b.header.autoclear_features = 1 << 7;
  const Features features = must_open(b)->info().features;
  EXPECT_TRUE(features.incompatible.empty());
  EXPECT_EQ(features.compatible,
            (std::vector<std::string>{"lazy refcounts", "\"new thing\"", "bit 63"}));
  EXPECT_EQ(features.autoclear, std::vector<std::string>{"bit 7"});
}

TEST(Qcow2Bitmaps, RejectADirectoryThatCannotBe) {
  const auto refused = [](RawBitmaps raw, std::string_view part) {
    ImageBuilder b;
    b.header.autoclear_features = kBitmapsValid;
    b.extension(ExtensionType::bitmaps, {reinterpret_cast<const char*>(&raw), sizeof raw});
    expect_refused(b, Errc::corrupt, part);
  };
  refused({.count = 0, .directory_size = 64, .directory_offset = 2560}, "bitmaps: 0");
  refused({.count = 65536, .directory_size = 64, .directory_offset = 2560}, "bitmaps: 65536");
  refused({.count = 1, .directory_size = 64 * MiB + 1, .directory_offset = 2560}, "too large");
  refused({.count = 1, .directory_size = 64, .directory_offset = 2561}, "not aligned");
  refused({.count = 1, .directory_size = 513, .directory_offset = 2560}, "past the end");
  refused({.count = 1, .directory_size = 64, .directory_offset = ~uint64_t{511}}, "past the end");
}

TEST(Qcow2Bitmaps, RejectAnExtensionOfAnotherSize) {
  ImageBuilder b;
  b.extension(ExtensionType::bitmaps, "short");
  expect_refused(b, Errc::corrupt, "bitmaps has 5 bytes instead of 24");
}

}  // namespace
}  // namespace platter::qcow2
