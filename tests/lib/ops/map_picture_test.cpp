#include "lib/ops/map_picture.h"

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"

namespace platter {
namespace {

class Picture : public testing::Test {
 protected:
  // 100 cells of a sector each.
  MapPicture picture_{100 * 512, 100};
  MemoryFile file_{"a"};

  void add(Extent::Kind kind, uint64_t sector, uint64_t count, uint64_t host = 0,
           size_t depth = 0) {
    picture_.add(
        {Extent{.guest = {sector * 512, count * 512}, .kind = kind, .file = &file_, .host = host},
         depth});
  }
};

TEST_F(Picture, PutsAnExtentIntoEveryCellItTouches) {
  picture_.add({Extent{.guest = {256, 1024}, .kind = Extent::Kind::data, .file = &file_}, 0});
  EXPECT_EQ(picture_.cells()[0].stored(), 256u);
  EXPECT_EQ(picture_.cells()[1].stored(), 512u);
  EXPECT_EQ(picture_.cells()[2].stored(), 256u);
  EXPECT_EQ(picture_.cells()[3].stored(), 0u);
}

TEST_F(Picture, ShowsWhatIsStoredBeforeZeroesAndThoseBeforeNothing) {
  MapPicture one(1024, 1);
  one.add({Extent{.guest = {0, 700}, .kind = Extent::Kind::absent}, 0});
  EXPECT_EQ(one.cells()[0].main().kind, MapKind::absent);
  one.add({Extent{.guest = {700, 300}, .kind = Extent::Kind::zero}, 1});
  EXPECT_EQ(one.cells()[0].main().kind, MapKind::zero);
  one.add({Extent{.guest = {1000, 24}, .kind = Extent::Kind::data, .file = &file_}, 2});
  EXPECT_EQ(one.cells()[0].main().kind, MapKind::data);
  EXPECT_EQ(one.cells()[0].main().depth, 2u);
}

TEST_F(Picture, CountsPiecesThatDoNotGoOn) {
  add(Extent::Kind::data, 0, 2, 4096);
  add(Extent::Kind::data, 2, 2, 4096 + 1024);
  EXPECT_EQ(picture_.pieces(), 1u);
  add(Extent::Kind::zero, 4, 2);
  add(Extent::Kind::data, 6, 2, 4096 + 2048);
  EXPECT_EQ(picture_.pieces(), 1u) << "zeroes between take no place";
  add(Extent::Kind::data, 8, 1, 100);
  EXPECT_EQ(picture_.pieces(), 2u);
  EXPECT_EQ(picture_.cells()[8].pieces, 1u);
}

TEST_F(Picture, TakesStreamsSideBySideForOnePiece) {
  const auto encoded = [&](uint64_t sector, uint64_t host) {
    picture_.add({Extent{.guest = {sector * 512, 512},
                         .kind = Extent::Kind::encoded,
                         .file = &file_,
                         .host = host,
                         .stored = 412},
                  0});
  };
  encoded(0, 100);
  encoded(1, 100);  // the same unit
  encoded(2, 450);  // begins in the last sector of the one before
  EXPECT_EQ(picture_.pieces(), 1u);
  encoded(3, 5000);
  EXPECT_EQ(picture_.pieces(), 2u);
}

TEST(PictureOfADisk, HasCellsOfWholeSectorsAndNoMoreThanWanted) {
  for (const uint64_t size :
       {uint64_t{1}, uint64_t{512}, uint64_t{513}, 3 * MiB + 7, uint64_t{1} << 46}) {
    const MapPicture picture(size, 1000);
    ASSERT_GE(picture.cells().size(), 1u);
    EXPECT_LE(picture.cells().size(), 1000u);
    const Range last = picture.range_of(picture.cells().size() - 1);
    EXPECT_FALSE(last.empty());
    EXPECT_EQ(last.end(), size);
  }
  EXPECT_TRUE(MapPicture(0, 10).cells().empty());
}

}  // namespace
}  // namespace platter
