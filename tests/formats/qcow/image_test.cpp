#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/extent_walk.h"
#include "tests/formats/qcow/image_builder.h"

namespace platter::qcow {
namespace {

using test::ImageBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

struct Opened {
  ImagePtr image;
  BlockCache blocks{MiB};
  ViewPtr view;

  explicit Opened(const FilePtr& file) {
    auto opened = test::open_qcow(file);
    if (!opened) throw std::runtime_error(opened.error().message());
    image = *std::move(opened);
    view = std::make_shared<View>(std::vector<View::Layer>{{image.get(), 0}}, blocks);
  }
  // "start+length kind host" of each merged extent.
  std::vector<std::string> extents() const {
    std::vector<std::string> lines;
    const auto walked = walk(*view, {0, view->size()}, [&](const View::Mapped& m) -> Result<bool> {
      const Extent& e = m.extent;
      const char* const kinds[] = {"absent", "zero", "data", "encoded"};
      lines.push_back(std::to_string(e.guest.offset) + "+" + std::to_string(e.guest.length) + " " +
                      kinds[static_cast<size_t>(e.kind)]);
      if (e.file != nullptr) lines.back() += " " + std::to_string(e.host);
      return true;
    });
    if (!walked) lines.push_back(walked.error().message());
    return lines;
  }
  std::string error_at(uint64_t offset) const {
    const auto e = image->map({offset, 1});
    return e ? "" : e.error().message();
  }
};

TEST(QcowMap, TellsAbsentDataAndCompressedApart) {
  const Opened disk(test::with_a_compressed_cluster().file());
  EXPECT_THAT(disk.extents(), ElementsAre("0+4096 absent", "4096+4096 data 8192",
                                          "8192+4096 encoded 12288", "12288+53248 absent"));
  std::vector<std::byte> bytes(4096);
  ASSERT_TRUE(disk.view->read(8192, bytes));
  EXPECT_THAT(bytes, testing::Each(std::byte{0xbb}));
}

TEST(QcowMap, MergesClustersThatFollowOneAnother) {
  ImageBuilder b;
  b.l1(0, 512).l1(1, 1024);
  for (unsigned i = 0; i < 64; ++i) b.l2(512, i, 2048 + 512 * i);
  b.l2(1024, 0, 2048 + 512 * 64).l2(1024, 1, 2048).l2(1024, 2, 2048 + 512 * 65);
  b.cluster(2048 + 512 * 65, 7);
  const Opened disk(b.file());
  EXPECT_THAT(disk.extents(), ElementsAre("0+33280 data 2048", "33280+512 data 2048",
                                          "33792+512 data 35328", "34304+31232 absent"));
}

TEST(QcowMap, FollowsALargeTableAcrossPagesAndUnits) {
  ImageBuilder b(4 * MiB);
  b.header.l2_bits = 13;
  b.bytes.resize(512 + 64 * KiB);
  b.l1(0, 512);
  for (unsigned i = 0; i < 8192; ++i) b.l2(512, i, 512 + 64 * KiB + 512 * i);
  b.bytes.resize(512 + 64 * KiB + 4 * MiB);
  const auto file = b.file();
  EXPECT_THAT(Opened(file).extents(), ElementsAre("0+4194304 data 66048"));
  Epochs epochs;
  const auto writable = test::open_qcow(file, &epochs);
  ASSERT_TRUE(writable);
  const auto e = (*writable)->map({0, 4 * MiB});
  ASSERT_TRUE(e);
  EXPECT_GE(e->guest.length, 200 * KiB);
}

TEST(QcowMap, ReadsTablesAtOddPlaces) {
  ImageBuilder b;
  b.bytes.resize(8192);
  b.l1(0, 4080);  // across pages
  for (unsigned i = 0; i < 64; ++i) b.l2(4080, i, i == 1 || i == 2 ? 5120 + 512 * i : 0);
  b.cluster(5632, 1).cluster(6144, 2);
  EXPECT_THAT(Opened(b.file()).extents(),
              ElementsAre("0+512 absent", "512+1024 data 5632", "1536+64000 absent"));
}

TEST(QcowMap, AClusterTheFileEndsInIsZeroBehindIt) {
  ImageBuilder b = test::with_a_compressed_cluster();
  b.l2(0x1000, 3, 0x4000);
  b.bytes.resize(0x4000 + 1000);
  EXPECT_THAT(Opened(b.file()).extents(),
              ElementsAre("0+4096 absent", "4096+4096 data 8192", "8192+4096 encoded 12288",
                          "12288+1000 data 16384", "13288+3096 zero", "16384+49152 absent"));
}

TEST(QcowMap, WhatATableLacksAtTheEndOfTheFileIsAbsent) {
  ImageBuilder b = test::with_a_compressed_cluster();
  b.bytes.resize(0x1000 + 16);
  const Opened disk(b.file());
  EXPECT_THAT(disk.error_at(4096), HasSubstr("past the end of the file"));
  const auto rest = disk.image->map({8192, 4096});
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->kind, Extent::Kind::absent);
}

TEST(QcowMap, AnEntryThatCannotBeFailsItsClusterAlone) {
  ImageBuilder b;
  b.l1(0, 512);
  b.l2(512, 0, 2049).l2(512, 1, 1 << 20).l2(512, 2, kCompressed | 512).l2(512, 3, 1024);
  b.l2(512, 4, kCompressed | uint64_t{9} << 54 | 1 << 20).l2(512, 5, ~kCompressed & ~uint64_t{511});
  b.cluster(1024, 5);
  const Opened disk(b.file());
  EXPECT_THAT(disk.error_at(0), HasSubstr("not aligned to a sector"));
  EXPECT_THAT(disk.error_at(512), HasSubstr("past the end of the file"));
  EXPECT_THAT(disk.error_at(1024), HasSubstr("compressed cluster of no bytes"));
  EXPECT_EQ(disk.error_at(1536), "");
  EXPECT_THAT(disk.error_at(2048), HasSubstr("compressed cluster past the end"));
  EXPECT_THAT(disk.error_at(2560), HasSubstr("beyond 2^63"));
}

TEST(QcowMap, ATableThatCannotBeFailsItsPartAlone) {
  ImageBuilder b(128 * KiB);
  b.l1(0, 513).l1(1, 1 << 20).l1(2, 512);
  b.bytes.resize(1024);
  const Opened disk(b.file());
  EXPECT_THAT(disk.error_at(0), HasSubstr("unaligned"));
  EXPECT_THAT(disk.error_at(32 * KiB), HasSubstr("past the end of the file"));
  EXPECT_EQ(disk.error_at(64 * KiB), "");
}

TEST(QcowMap, AStreamThatIsShortOfTheClusterIsAnError) {
  ImageBuilder b = test::with_a_compressed_cluster();
  b.l2(0x1000, 2, uint64_t{1} << 63 | uint64_t{20} << 51 | 0x3000);
  const Opened disk(b.file());
  std::vector<std::byte> bytes(512);
  EXPECT_FALSE(disk.view->read(8192, bytes));
  EXPECT_TRUE(disk.view->read(4096, bytes));
}

TEST(QcowInfo, SaysWhatTheHeaderSays) {
  ImageBuilder b;
  b.backing("base.raw").header.mtime = 1234567890;
  const Opened disk(b.file());
  const ImageInfo& info = disk.image->info();
  EXPECT_EQ(info.format, "qcow");
  EXPECT_EQ(info.variant, "v1");
  EXPECT_EQ(info.block_size, 512u);
  ASSERT_TRUE(info.parent);
  EXPECT_EQ(info.parent->reference, "base.raw");
  EXPECT_EQ(info.parent->format, "");
  EXPECT_THAT(info.details,
              ElementsAre(Detail{"cluster_size", uint64_t{512}}, Detail{"l2_entries", uint64_t{64}},
                          Detail{"backing_mtime", uint64_t{1234567890}}));
}

}  // namespace
}  // namespace platter::qcow
