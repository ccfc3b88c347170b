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

  void add_data(uint64_t offset, uint64_t length, bool begins = false) {
    picture_.add({Extent{.guest = {offset, length}, .kind = Extent::Kind::data, .file = &file_}, 0},
                 begins);
  }
};

TEST_F(Picture, PutsAnExtentIntoEveryCellItTouches) {
  add_data(256, 1024);
  EXPECT_EQ(picture_.cells()[0].stored(), 256u);
  EXPECT_EQ(picture_.cells()[1].stored(), 512u);
  EXPECT_EQ(picture_.cells()[2].stored(), 256u);
  EXPECT_EQ(picture_.cells()[3].stored(), 0u);
}

TEST_F(Picture, ShowsWhatIsStoredBeforeZeroesAndThoseBeforeNothing) {
  MapPicture one(1024, 1);
  one.add({Extent{.guest = {0, 700}, .kind = Extent::Kind::absent}, 0}, false);
  EXPECT_EQ(one.cells()[0].main().kind, MapKind::absent);
  one.add({Extent{.guest = {700, 300}, .kind = Extent::Kind::zero}, 1}, false);
  EXPECT_EQ(one.cells()[0].main().kind, MapKind::zero);
  one.add({Extent{.guest = {1000, 24}, .kind = Extent::Kind::data, .file = &file_}, 2}, false);
  EXPECT_EQ(one.cells()[0].main().kind, MapKind::data);
  EXPECT_EQ(one.cells()[0].main().depth, 2u);
}

TEST_F(Picture, KnowsWhereManyPiecesBegin) {
  add_data(uint64_t{8} * 512, 1024, true);
  add_data(uint64_t{10} * 512, 512, false);
  EXPECT_EQ(picture_.cells()[8].pieces, 1u);
  EXPECT_EQ(picture_.cells()[9].pieces, 0u);
  EXPECT_EQ(picture_.cells()[10].pieces, 0u);
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
