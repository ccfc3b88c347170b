#include "lib/container/view.h"

#include <gtest/gtest.h>

#include "lib/container/extent_walk.h"
#include "tests/support/bytes.h"
#include "tests/support/hand_made_image.h"
#include "tests/support/repeat_codec.h"

namespace platter {
namespace {

using test::HandMadeImage;
using Kind = Extent::Kind;

class ViewTest : public ::testing::Test {
 protected:
  View stack(std::initializer_list<const Image*> images) {
    std::vector<View::Layer> layers;
    for (const Image* image : images) layers.push_back({image, 0});
    return View(std::move(layers), blocks_);
  }
  static std::vector<std::byte> read(const View& view, uint64_t offset, size_t length) {
    std::vector<std::byte> out(length, std::byte{0xee});
    const auto done = view.read(offset, out);
    EXPECT_TRUE(done) << done.error().message();
    return out;
  }
  BlockCache blocks_{1 * MiB};
};

TEST_F(ViewTest, AsksTheParentWhereALayerHasNothing) {
  HandMadeImage top("top", 300);
  HandMadeImage base("base", 300);
  top.data(100, test::pattern(0, 100, 1), 5000);
  base.data(0, test::pattern(0, 300, 2), 0);
  const View view = stack({&top, &base});
  auto expected = test::pattern(0, 300, 2);
  const auto mine = test::pattern(0, 100, 1);
  std::copy(mine.begin(), mine.end(), expected.begin() + 100);
  EXPECT_EQ(read(view, 0, 300), expected);
  EXPECT_EQ(view.map({0, 300})->depth, 1U);
  EXPECT_EQ(view.map({0, 300})->extent.guest, (Range{0, 100}));
  EXPECT_EQ(view.map({150, 10})->depth, 0U);
  EXPECT_EQ(view.map({150, 10})->extent.host, 5050U);
}

TEST_F(ViewTest, AZeroLayerHidesWhatLiesBelow) {
  HandMadeImage top("top", 300);
  HandMadeImage base("base", 300);
  top.zero({100, 100});
  base.data(0, test::pattern(0, 300, 2), 0);
  const View view = stack({&top, &base});
  EXPECT_EQ(read(view, 100, 100), std::vector<std::byte>(100));
  EXPECT_EQ(view.map({100, 100})->extent.kind, Kind::zero);
}

TEST_F(ViewTest, WhatNoLayerHasReadsAsZeroes) {
  const HandMadeImage top("top", 300);
  const HandMadeImage base("base", 300);
  const View view = stack({&top, &base});
  EXPECT_EQ(read(view, 0, 300), std::vector<std::byte>(300));
  const auto mapped = view.map({0, 300});
  EXPECT_EQ(mapped->extent.kind, Kind::absent);
  EXPECT_EQ(mapped->extent.guest, (Range{0, 300}));
  EXPECT_EQ(mapped->depth, 1U);
}

TEST_F(ViewTest, PastAShortParentEverythingIsZero) {
  const HandMadeImage top("top", 300);
  HandMadeImage base("base", 100);
  base.data(0, test::pattern(0, 100, 2), 0);
  const View view = stack({&top, &base});
  auto expected = test::pattern(0, 100, 2);
  expected.resize(300);
  EXPECT_EQ(read(view, 0, 300), expected);
}

TEST_F(ViewTest, PastAShortMiddleLayerTheBaseDoesNotShowThrough) {
  const HandMadeImage top("top", 300);
  const HandMadeImage middle("middle", 100);
  HandMadeImage base("base", 300);
  base.data(0, test::pattern(0, 300, 3), 0);
  const View view = stack({&top, &middle, &base});
  auto expected = test::pattern(0, 100, 3);
  expected.resize(300);
  EXPECT_EQ(read(view, 0, 300), expected);
  EXPECT_EQ(view.map({100, 200})->extent.kind, Kind::absent);
}

TEST_F(ViewTest, ALongerParentIsCutAtTheTopsEnd) {
  const HandMadeImage top("top", 100);
  HandMadeImage base("base", 300);
  base.data(0, test::pattern(0, 300, 2), 0);
  const View view = stack({&top, &base});
  EXPECT_EQ(view.size(), 100U);
  EXPECT_EQ(read(view, 0, 100), test::pattern(0, 100, 2));
  EXPECT_FALSE(view.map({0, 101}));
}

TEST_F(ViewTest, ReadsThroughAHundredLayers) {
  std::vector<std::unique_ptr<HandMadeImage>> images;
  std::vector<View::Layer> layers;
  std::vector<std::byte> expected;
  for (uint64_t i = 0; i < 100; ++i) {
    images.push_back(std::make_unique<HandMadeImage>("layer", 1000));
    images.back()->data(i * 10, test::pattern(0, 10, i), 0);
    layers.push_back({images.back().get(), 0});
    const auto mine = test::pattern(0, 10, i);
    expected.insert(expected.end(), mine.begin(), mine.end());
  }
  const View view(std::move(layers), blocks_);
  EXPECT_EQ(read(view, 0, 1000), expected);
  EXPECT_EQ(view.map({995, 5})->depth, 99U);
}

TEST_F(ViewTest, RefusesRangesOutsideTheDisk) {
  const HandMadeImage top("top", 300);
  const View view = stack({&top});
  for (const Range range :
       {Range{0, 0}, Range{0, 301}, Range{300, 1}, Range{301, 1}, Range{UINT64_MAX, 1},
        Range{UINT64_MAX, 2}, Range{1, UINT64_MAX}, Range{299, UINT64_MAX - 298}}) {
    const auto mapped = view.map(range);
    ASSERT_FALSE(mapped) << range.offset << " " << range.length;
    EXPECT_EQ(mapped.error().code(), Errc::out_of_range);
  }
  std::vector<std::byte> out(2);
  EXPECT_FALSE(view.read(299, out));
  EXPECT_FALSE(view.read(UINT64_MAX, out));
  EXPECT_TRUE(view.read(299, MutableBytes(out).first(1)));
}

TEST_F(ViewTest, CutsCompressedUnitsToWhatIsWanted) {
  const test::RepeatCodec codec;
  HandMadeImage top("top", 300);
  ASSERT_TRUE(top.file().write(10, test::bytes_of("x")));
  top.add({.guest = {100, 100},
           .kind = Kind::encoded,
           .host = 10,
           .codec = &codec,
           .stored = 1,
           .unit = {100, 100}});
  const View view = stack({&top});
  auto expected = std::vector<std::byte>(300);
  std::fill_n(expected.begin() + 100, 100, std::byte{'x'});
  EXPECT_EQ(read(view, 150, 10), std::vector<std::byte>(10, std::byte{'x'}));
  EXPECT_EQ(read(view, 0, 300), expected);
  EXPECT_EQ(codec.decoded, 1);
}

TEST_F(ViewTest, ACompressedUnitThatReachesPastAShortLayerIsCut) {
  const test::RepeatCodec codec;
  const HandMadeImage top("top", 300);
  HandMadeImage base("base", 150);
  ASSERT_TRUE(base.file().write(10, test::bytes_of("x")));
  base.add({.guest = {100, 100},
            .kind = Kind::encoded,
            .host = 10,
            .codec = &codec,
            .stored = 1,
            .unit = {100, 100}});
  auto expected = std::vector<std::byte>(200);
  std::fill_n(expected.begin(), 50, std::byte{'x'});
  EXPECT_EQ(read(stack({&top, &base}), 100, 200), expected);
}

TEST_F(ViewTest, ErrorsOfALayerNameItsFile) {
  const test::RepeatCodec codec;
  class Broken final : public Image {
   public:
    const ImageInfo& info() const override { return info_; }
    uint64_t size(SnapshotId /*snapshot*/) const override { return 300; }
    Result<Extent> map(const Range& /*want*/, SnapshotId /*snapshot*/) const override {
      return Error(Errc::corrupt, "L2 table 3: past the end");
    }
    std::vector<FilePtr> files() const override { return {file_}; }

   private:
    ImageInfo info_;
    FilePtr file_ = std::make_shared<MemoryFile>("b.qcow2");
  };
  const HandMadeImage top("top", 300);
  const Broken broken;
  const auto mapped = stack({&top, &broken}).map({0, 10});
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().message(), "b.qcow2: L2 table 3: past the end");
}

TEST_F(ViewTest, ASnapshotMayHaveAnotherSize) {
  HandMadeImage top("top", 100);
  HandMadeImage base("base", 500);
  top.set_snapshot(7, 300);
  base.data(0, test::pattern(0, 500, 2), 0);
  const View view({{&top, 7}, {&base, 0}}, blocks_);
  EXPECT_EQ(view.size(), 300U);
  EXPECT_EQ(read(view, 0, 300), test::pattern(0, 300, 2));
}

std::vector<View::Mapped> walked(const View& view, Range range) {
  std::vector<View::Mapped> all;
  const auto done = walk(view, range, [&](const View::Mapped& m) -> Result<bool> {
    all.push_back(m);
    return true;
  });
  EXPECT_TRUE(done) << done.error().message();
  return all;
}

TEST_F(ViewTest, WalkMergesNeighboursOfOneRun) {
  HandMadeImage top("top", 500);
  top.data(0, test::pattern(0, 100, 1), 1000);
  top.data(100, test::pattern(100, 100, 1), 1100);
  top.data(200, test::pattern(200, 100, 1), 5000);
  top.zero({300, 50});
  top.zero({350, 50});
  const auto runs = walked(stack({&top}), {0, 500});
  ASSERT_EQ(runs.size(), 4U);
  EXPECT_EQ(runs[0].extent.guest, (Range{0, 200}));
  EXPECT_EQ(runs[0].extent.host, 1000U);
  EXPECT_EQ(runs[1].extent.guest, (Range{200, 100}));
  EXPECT_EQ(runs[2].extent.guest, (Range{300, 100}));
  EXPECT_EQ(runs[3].extent.kind, Kind::absent);
}

TEST_F(ViewTest, WalkKeepsLayersAndCompressedUnitsApart) {
  const test::RepeatCodec codec;
  HandMadeImage top("top", 400);
  HandMadeImage base("base", 400);
  top.zero({0, 100});
  base.zero({100, 100});
  base.add({.guest = {200, 100}, .kind = Kind::encoded, .codec = &codec, .unit = {200, 100}});
  base.add({.guest = {300, 100}, .kind = Kind::encoded, .codec = &codec, .unit = {300, 100}});
  const auto runs = walked(stack({&top, &base}), {0, 400});
  ASSERT_EQ(runs.size(), 4U);
  EXPECT_EQ(runs[0].depth, 0U);
  EXPECT_EQ(runs[1].depth, 1U);
}

TEST_F(ViewTest, WalkCutsAtBothEndsOfTheRange) {
  HandMadeImage top("top", 500);
  top.data(0, test::pattern(0, 500, 1), 1000);
  const auto runs = walked(stack({&top}), {120, 30});
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].extent.guest, (Range{120, 30}));
  EXPECT_EQ(runs[0].extent.host, 1120U);
}

TEST_F(ViewTest, WalkOfNothingVisitsNothing) {
  const HandMadeImage top("top", 500);
  EXPECT_TRUE(walked(stack({&top}), {500, 0}).empty());
}

TEST_F(ViewTest, WalkStopsWhenToldAndPassesErrorsOn) {
  HandMadeImage top("top", 300);
  top.zero({0, 100});
  top.data(100, test::pattern(0, 100, 1), 0);
  const View view = stack({&top});
  int seen = 0;
  EXPECT_TRUE(
      walk(view, {0, 300}, [&](const View::Mapped&) -> Result<bool> { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
  const auto failed = walk(
      view, {0, 300}, [&](const View::Mapped&) -> Result<bool> { return Error(Errc::io, "stop"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "stop");
  EXPECT_FALSE(walk(view, {0, 301}, [](const View::Mapped&) -> Result<bool> { return true; }));
}

}  // namespace
}  // namespace platter
