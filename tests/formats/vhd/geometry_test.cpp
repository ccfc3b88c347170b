#include "formats/vhd/geometry.h"

#include <gtest/gtest.h>

#include <tuple>

#include "tests/formats/vhd/vhd_disk.h"

namespace platter::vhd {
namespace {

using test::open_vhd;
using test::VhdBuilder;
using Chs = std::tuple<int, int, int>;

Chs chs_of(uint64_t sectors) {
  const DiskGeometry g = geometry_for(sectors * 512);
  return {int{g.cylinders}, int{g.heads}, int{g.sectors}};
}

// What QEMU 7.2 writes for these sizes, and the largest.
TEST(VhdGeometry, IsWhatOthersMakeOfTheSize) {
  EXPECT_EQ(chs_of(10268), (Chs{151, 4, 17}));
  EXPECT_EQ(chs_of(2 * 1024 * 1024), (Chs{2080, 16, 63}));
  EXPECT_EQ(chs_of(2081 * 16 * 63), (Chs{2081, 16, 63}));
  EXPECT_EQ(chs_of(uint64_t{20561} * 16 * 255), (Chs{20561, 16, 255}));
  EXPECT_EQ(chs_of(uint64_t{65279} * 16 * 255), (Chs{65279, 16, 255}));
  EXPECT_EQ(chs_of(uint64_t{0xff000000}), (Chs{65535, 16, 255}));
  EXPECT_EQ(chs_of(1), (Chs{0, 4, 17}));
}

uint64_t size_shown(const std::string& creator, uint16_t cylinders, uint8_t heads, uint8_t track) {
  VhdBuilder b{.creator = creator, .cylinders = cylinders, .heads = heads, .track = track};
  b.point({-1, -1, -1});
  const auto image = open_vhd(b.file());
  return image ? (*image)->size() : 0;
}

TEST(VhdSize, IsTheGeometrysForThoseWhoShowThat) {
  for (const char* creator : {"vpc ", "vs  ", "qemu"}) {
    EXPECT_EQ(size_shown(creator, 2, 3, 4), 2u * 3 * 4 * 512) << creator;
  }
}

TEST(VhdSize, IsTheCurrentSizeForOthers) {
  using namespace std::string_literals;
  for (const std::string& creator :
       {"win "s, "qem2"s, "d2v\0"s, "d2v "s, "tap\0"s, "CTXS"s, "vbox"s, "abcd"s}) {
    EXPECT_EQ(size_shown(creator, 2, 3, 4), 3u * 4096) << creator;
  }
}

TEST(VhdSize, IsTheCurrentSizeWhereTheGeometryIsTheLargestOrNone) {
  EXPECT_EQ(size_shown("qemu", 65535, 16, 255), 3u * 4096);
  EXPECT_EQ(size_shown("qemu", 0, 0, 0), 3u * 4096);
}

TEST(VhdSizeAttack, GeometryLargerThanTheDisk) {
  EXPECT_EQ(size_shown("qemu", 65535, 255, 255), 3u * 4096);
}

TEST(VhdSize, IsWarnedOfWhereAnUnknownCreatorsGeometryIsAnother) {
  VhdBuilder b{.creator = "abcd", .cylinders = 1, .heads = 2, .track = 3};
  b.point({-1, -1, -1});
  const auto image = open_vhd(b.file());
  ASSERT_TRUE(image);
  ASSERT_EQ((*image)->info().warnings.size(), 1u);
  EXPECT_NE((*image)->info().warnings[0].find("the geometry says 3072"), std::string::npos);
}

TEST(VhdSize, IsTheOriginalSizeForNobody) {
  VhdBuilder b{.original_size = 512};
  b.point({-1, -1, -1});
  const auto image = open_vhd(b.file());
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->size(), 3u * 4096);
}

}  // namespace
}  // namespace platter::vhd
