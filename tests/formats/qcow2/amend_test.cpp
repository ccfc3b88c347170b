// Images made one of the other version: what they hold, whatever fails on the way; and what of
// version 3 no version 2 can say.
#include "formats/qcow2/amend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/qcow2/extensions.h"
#include "tests/formats/qcow2/check_image.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::qcow2 {
namespace {

using platter::test::Call;
using platter::test::CrashFile;
using platter::test::FailAt;
using platter::test::WrappedFile;
using test::ImageBuilder;
using test::RichImage;
using testing::ElementsAre;
using testing::HasSubstr;

const Metadata kTo2 = {{"compat", "0.10"}}, kTo3 = {{"compat", "1.1"}};

Result<void> amend(const FilePtr& file, const Metadata& options) {
  const auto denied = deny_resolver("the image is alone");
  Epochs epochs;
  const auto image = TRY(find_format("qcow2")->open({.file = file,
                                                     .resolver = *denied,
                                                     .tables = std::make_shared<PageCache>(MiB),
                                                     .info_only = true,
                                                     .writable = true,
                                                     .epochs = &epochs}));
  return image->amend(options);
}

// The disk and its snapshots, one behind the other, over a parent full of 0xee.
std::vector<std::byte> contents(const FilePtr& file) {
  const auto denied = deny_resolver("the image is alone");
  const auto open = [&](const char* format, const FilePtr& of) {
    return find_format(format)->open(
        {.file = of, .resolver = *denied, .tables = std::make_shared<PageCache>(MiB)});
  };
  const auto image = open("qcow2", file);
  const auto parent =
      open("raw", std::make_shared<MemoryFile>("parent", test::all_of(0xee, 128 * KiB)));
  if (!image || !parent) return {};
  std::vector<std::byte> all;
  std::vector<SnapshotId> states{0};
  for (const SnapshotInfo& snapshot : (*image)->snapshots()) states.push_back(snapshot.id);
  for (const SnapshotId state : states) {
    BlockCache blocks(MiB);
    std::vector<View::Layer> layers{{image->get(), state}};
    if ((*image)->info().parent) layers.push_back({parent->get(), 0});
    const View view(std::move(layers), blocks);
    std::vector<std::byte> bytes(view.size());
    const auto read = view.read(0, bytes);
    EXPECT_TRUE(read) << read.error().message();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

uint32_t version_of(const File& file) {
  const auto header = parse_header(file);
  EXPECT_TRUE(header) << header.error().message();
  return header ? header->version : 0;
}

// With a cluster of each kind of zero.
ImageBuilder with_zeroes() {
  ImageBuilder b(3, 10);
  b.set_l2(1, kZeroFlag);
  b.set_l2(2, 6 * b.cs | kCopied | kZeroFlag);
  b.set_l2(31, kZeroFlag);
  b.fill(6 * b.cs, b.cs, 0x66);
  b.put(2 * b.cs + 12, be16(1));
  return b;
}

ImageBuilder over_a_parent(ImageBuilder b) {
  b.extension(ExtensionType::backing_format, "raw");
  b.backing("parent.raw", 700);
  return b;
}

// Names and extensions that fill the first sector, and what is behind it.
ImageBuilder with_a_long_name(ImageBuilder b, uint64_t at) {
  b.extension(0x12345678, 20, "an unknown extension");
  b.backing("a/" + std::string(400, 'b'), at);
  return b;
}

struct Case {
  std::string name;
  FilePtr file;
  Metadata options;
  uint32_t version;
  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

std::vector<Case> cases() {
  return {
      {"ToVersion3", ImageBuilder(2).file(), kTo3, 3},
      {"ToVersion3WithASnapshot", RichImage(2).file(), kTo3, 3},
      {"ToVersion3OverAParent", over_a_parent(ImageBuilder(2, 10)).file(), kTo3, 3},
      {"ToVersion3NameMoves", with_a_long_name(ImageBuilder(2, 11), 400).file(), kTo3, 3},
      {"ToVersion2", ImageBuilder(3).file(), kTo2, 2},
      {"ToVersion2WithASnapshot", RichImage(3).file(), kTo2, 2},
      {"ToVersion2WithZeroes", with_zeroes().file(), kTo2, 2},
      {"ToVersion2OverAParent", over_a_parent(with_zeroes()).file(), kTo2, 2},
      {"ToVersion2NameStays", with_a_long_name(ImageBuilder(3, 11), 600).file(), kTo2, 2},
      {"Lazy", ImageBuilder(3).file(), {{"lazy_refcounts", "on"}}, 3},
  };
}

class Amend : public testing::TestWithParam<Case> {};

TEST_P(Amend, KeepsWhatTheImageHoldsAndNames) {
  const FilePtr file = GetParam().file;
  const auto copy = std::make_shared<MemoryFile>("copy", test::bytes_of_file(*file));
  const auto before = contents(copy);
  const auto old = parse_header(*copy);
  const auto done = amend(copy, GetParam().options);
  ASSERT_TRUE(done) << done.error().message();
  const auto now = parse_header(*copy);
  ASSERT_TRUE(now) << now.error().message();
  EXPECT_EQ(now->version, GetParam().version);
  EXPECT_EQ(now->backing_file, old->backing_file);
  EXPECT_EQ(now->backing_format, old->backing_format);
  EXPECT_EQ(now->unknown_extensions, old->unknown_extensions);
  EXPECT_EQ(now->size, old->size);
  EXPECT_TRUE(contents(copy) == before);
  const CheckReport report = test::checked(copy);
  EXPECT_EQ(report.corruptions + report.leaks, 0u) << testing::PrintToString(report.messages);
}

TEST_P(Amend, AndBackAgain) {
  const auto copy = std::make_shared<MemoryFile>("copy", test::bytes_of_file(*GetParam().file));
  const auto before = contents(copy);
  for (const Metadata& options : {kTo2, kTo3, kTo2, kTo3}) {
    const auto done = amend(copy, options);
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_TRUE(contents(copy) == before);
    ASSERT_EQ(test::checked(copy).corruptions + test::checked(copy).leaks, 0u);
  }
}

TEST_P(Amend, LeavesTheOldImageOrTheNewOneWhenPowerIsLost) {
  const auto before = contents(GetParam().file);
  const uint32_t old = version_of(*GetParam().file);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::mt19937_64 random(seed);
    const auto disk = std::make_shared<CrashFile>(*GetParam().file);
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      for (int i = 0; i < 4; ++i) {
        const auto after = disk->crash(random);
        const uint32_t version = version_of(*after);
        EXPECT_TRUE(version == old || version == GetParam().version) << version;
        EXPECT_TRUE(contents(after) == before);
        EXPECT_EQ(test::checked(after).corruptions, 0u);
      }
      return {};
    };
    ASSERT_TRUE(amend(std::make_shared<WrappedFile>(disk, look), GetParam().options));
    for (int i = 0; i < 4; ++i) {
      const auto after = disk->crash(random);
      EXPECT_EQ(version_of(*after), GetParam().version);
      EXPECT_EQ(parse_header(*after)->lazy_refcounts, parse_header(*disk)->lazy_refcounts);
      EXPECT_TRUE(contents(after) == before);
      EXPECT_EQ(test::checked(after).corruptions + test::checked(after).leaks, 0u);
    }
    if (HasFailure()) return;
  }
}

TEST_P(Amend, AFailingCallHurtsNothing) {
  const auto before = contents(GetParam().file);
  const uint32_t old = version_of(*GetParam().file);
  bool failed = true;
  for (uint64_t n = 1; failed && !HasFailure(); ++n) {
    const auto memory = std::make_shared<CrashFile>(*GetParam().file);
    FailAt fail(n, EIO);
    const auto done = amend(std::make_shared<WrappedFile>(memory, fail.hook()), GetParam().options);
    failed = fail.fired();
    EXPECT_TRUE(done || failed);
    const uint32_t version = version_of(*memory);
    EXPECT_TRUE(version == old || version == GetParam().version);
    EXPECT_TRUE(contents(memory) == before) << "call " << n;
    EXPECT_EQ(test::checked(memory).corruptions, 0u) << "call " << n;
    if (!done) continue;
    std::mt19937_64 random(n);
    EXPECT_EQ(version_of(*memory->crash(random)), GetParam().version) << "call " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Images, Amend, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

std::string refusal(const ImageBuilder& b, const Metadata& options, Errc code) {
  const FilePtr file = b.file();
  const auto before = test::bytes_of_file(*file);
  const auto done = amend(file, options);
  EXPECT_TRUE(test::bytes_of_file(*file) == before);
  if (done) return "";
  EXPECT_EQ(done.error().code(), code) << done.error().message();
  return done.error().message();
}

TEST(AmendRefuses, WhatVersion2CannotSay) {
  ImageBuilder external;
  external.incompatible(Incompatible::external_data);
  external.extension(ExtensionType::data_file, "data");
  EXPECT_THAT(refusal(external, kTo2, Errc::unsupported), HasSubstr("an external data file"));

  ImageBuilder extended(3, 14);
  extended.incompatible(Incompatible::extended_l2);
  EXPECT_THAT(refusal(extended, kTo2, Errc::unsupported), HasSubstr("extended L2"));

  ImageBuilder zstd;
  zstd.incompatible(Incompatible::compression);
  zstd.header.compression_type = 1;
  EXPECT_THAT(refusal(zstd, kTo2, Errc::unsupported), HasSubstr("zstd"));

  ImageBuilder narrow;
  narrow.header.refcount_order = 3;
  EXPECT_THAT(refusal(narrow, kTo2, Errc::unsupported), HasSubstr("refcounts of 8 bits"));

  ImageBuilder bitmaps(3, 10);
  test::add_bitmap(bitmaps, 6);
  EXPECT_THAT(refusal(bitmaps, kTo2, Errc::unsupported), HasSubstr("dirty bitmaps"));
}

TEST(AmendRefuses, SnapshotsVersion2CannotSay) {
  RichImage zero;
  zero.put64(8 * zero.cs + 16, kZeroFlag);
  EXPECT_THAT(refusal(zero, kTo2, Errc::unsupported), HasSubstr("a snapshot has zero clusters"));

  RichImage smaller;
  smaller.put64(6 * smaller.cs + sizeof(RawSnapshot) + 8, 16 * smaller.cs);
  EXPECT_THAT(refusal(smaller, kTo2, Errc::unsupported), HasSubstr("\"first\" has a size"));
}

TEST(AmendRefuses, SnapshotsOfOldProgramsInVersion3) {
  RichImage b(2);
  auto entry = load<RawSnapshot>(b.bytes, 6 * b.cs);
  entry.extra_data_size = 0;
  b.put(6 * b.cs, entry);
  b.put_text(6 * b.cs + sizeof entry, "1first");
  EXPECT_THAT(refusal(b, kTo3, Errc::unsupported), HasSubstr("only 0 bytes of extra data"));
}

TEST(AmendRefuses, FlagsThatWouldGetAMeaning) {
  ImageBuilder b(2);
  b.set_l2(1, kZeroFlag);
  EXPECT_THAT(refusal(b, kTo3, Errc::corrupt), HasSubstr("zero cluster"));
}

TEST(AmendRefuses, AHeaderWithoutRoom) {
  ImageBuilder full(2);
  full.extension(0x12345678, 400, std::string(400, 'x'));
  EXPECT_THAT(refusal(full, kTo3, Errc::unsupported), HasSubstr("no room for its extensions"));
  ImageBuilder name(2);
  name.backing(std::string(410, 'n'), 96);
  EXPECT_THAT(refusal(name, kTo3, Errc::unsupported), HasSubstr("no room for the backing"));
}

TEST(AmendRefuses, OptionsThatCannotBe) {
  const ImageBuilder b;
  EXPECT_THAT(refusal(b, {{"compat", "2"}}, Errc::invalid), HasSubstr("0.10 or 1.1"));
  EXPECT_THAT(refusal(b, {{"lazy_refcounts", "yes"}}, Errc::invalid), HasSubstr("on or off"));
  EXPECT_THAT(refusal(b, {{"refcount_bits", "8"}}, Errc::unsupported), HasSubstr("16 bits"));
  EXPECT_EQ(refusal(b, {{"refcount_bits", "16"}}, Errc::unsupported), "");
  EXPECT_THAT(refusal(b, {{"compat", "0.10"}, {"lazy_refcounts", "on"}}, Errc::invalid),
              HasSubstr("needs compat=1.1"));
  EXPECT_THAT(refusal(ImageBuilder(2), {{"lazy_refcounts", "on"}}, Errc::invalid),
              HasSubstr("needs compat=1.1"));
}

TEST(AmendedImage, HasLazyRefcountsAsAsked) {
  const FilePtr file = ImageBuilder(2).file();
  ASSERT_TRUE(amend(file, {{"compat", "1.1"}, {"lazy_refcounts", "on"}}));
  EXPECT_TRUE(parse_header(*file)->lazy_refcounts);
  ASSERT_TRUE(amend(file, {{"lazy_refcounts", "off"}}));
  EXPECT_FALSE(parse_header(*file)->lazy_refcounts);
  ASSERT_TRUE(amend(file, {{"lazy_refcounts", "on"}}));
  ASSERT_TRUE(amend(file, kTo2));
  ASSERT_TRUE(amend(file, kTo3));
  EXPECT_FALSE(parse_header(*file)->lazy_refcounts);
}

TEST(AmendedImage, ZeroClustersOverAParentBecomeData) {
  const FilePtr file = over_a_parent(with_zeroes()).file();
  ASSERT_TRUE(amend(file, kTo2));
  const uint64_t cs = 1024, l2 = 4 * cs;
  EXPECT_EQ(test::word_of(*file, l2 + 16), 6 * cs | kCopied);
  for (const uint64_t index : {1U, 31U}) {
    EXPECT_GE(test::word_of(*file, l2 + 8 * index) & kOffsetMask, 7 * cs);
  }
}

}  // namespace
}  // namespace platter::qcow2
