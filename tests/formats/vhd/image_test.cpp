// What a VHD maps its disk to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/formats/vhd/vhd_disk.h"

namespace platter::vhd {
namespace {

using test::open_vhd;
using test::VhdBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

std::string kind_of(const Extent& e) {
  if (e.kind == Extent::Kind::data) return fmt::format("at {}", e.host);
  return e.kind == Extent::Kind::zero ? "zero" : "absent";
}

// "offset length where", one an extent.
std::vector<std::string> map_of(const FilePtr& file) {
  std::vector<std::string> lines;
  const auto image = open_vhd(file);
  if (!image) return {image.error().message()};
  const uint64_t size = (*image)->size();
  for (uint64_t at = 0; at < size;) {
    const auto e = (*image)->map({at, size - at});
    if (!e) return {e.error().message()};
    lines.push_back(fmt::format("{} {} {}", e->guest.offset, e->guest.length, kind_of(*e)));
    at = e->guest.end();
  }
  return lines;
}

TEST(VhdMap, FindsBlocksBehindTheirBitmaps) {
  VhdBuilder b{.blocks = {{.first = 1}, {.first = 2}}};
  b.point({1, -1, -1, 0});
  EXPECT_THAT(map_of(b.file()),
              ElementsAre(fmt::format("0 4096 at {}", b.data_at() + b.stride() + 512),
                          "4096 8192 absent", fmt::format("12288 4096 at {}", b.data_at() + 512)));
}

TEST(VhdMap, EndsWithTheDisk) {
  VhdBuilder b{.disk_size = 4096 + 512, .blocks = {{.first = 1}}};
  b.point({-1, 0});
  EXPECT_THAT(map_of(b.file()),
              ElementsAre("0 4096 absent", fmt::format("4096 512 at {}", b.data_at() + 512)));
}

TEST(VhdMap, ReadsWhatIsStoredUnderClearBitsOfADynamicDisk) {
  VhdBuilder b{.blocks = {{.bits = {0x00}, .first = 7}}};
  b.point({0});
  EXPECT_THAT(test::sectors_of_vhd(b.file()), ElementsAre(7, 8, 9, 10, 11, 12, 13, 14));
}

TEST(VhdMap, FollowsTheBitsOfADifferencingDiskHighestFirst) {
  VhdBuilder b{.type = 4, .blocks = {{.bits = {0b01100001}, .first = 7}}};
  b.point({0, -1});
  const uint64_t data = b.data_at() + 512;
  EXPECT_THAT(
      map_of(b.file()),
      ElementsAre("0 512 absent", fmt::format("512 1024 at {}", data + 512), "1536 2048 absent",
                  fmt::format("3584 512 at {}", data + 3584), "4096 4096 absent"));
}

TEST(VhdMap, ReadsThroughADifferencingDisk) {
  VhdBuilder base{.blocks = {{.first = 100}, {.first = 200}}};
  base.point({0, 1, -1});
  const auto below = open_vhd(base.file());
  ASSERT_TRUE(below);
  VhdBuilder b{.type = 4, .blocks = {{.bits = {0x0f}, .first = 7}}};
  b.point({0, -1, -1});
  const auto seen = test::sectors_of_vhd(b.file(), below->get());
  EXPECT_THAT(std::vector<int>(seen.begin(), seen.begin() + 10),
              ElementsAre(100, 101, 102, 103, 11, 12, 13, 14, 200, 201));
}

// A bitmap of more than one sector, and runs across its sectors.
TEST(VhdMap, FollowsTheBitsOfALargeBlock) {
  VhdBuilder b{.type = 4, .block_size = 4 * MiB, .blocks = {{}}};
  b.blocks[0].bits.assign(1024, 0);
  b.blocks[0].bits[511] = 0x01;
  b.blocks[0].bits[512] = 0xc0;
  b.blocks[0].bits[1023] = 0x01;
  b.point({0});
  const uint64_t data = b.data_at() + 1024;
  EXPECT_THAT(map_of(b.file()),
              ElementsAre(fmt::format("0 {} absent", 2 * MiB - 512),
                          fmt::format("{} 512 at {}", 2 * MiB - 512, data + 2 * MiB - 512),
                          fmt::format("{} 1024 at {}", 2 * MiB, data + 2 * MiB),
                          fmt::format("{} {} absent", 2 * MiB + 1024, 2 * MiB - 1536),
                          fmt::format("{} 512 at {}", 4 * MiB - 512, data + 4 * MiB - 512)));
}

TEST(VhdMap, WhatABlockLacksAtTheEndOfTheFileIsZeroes) {
  VhdBuilder b{.tail = false};
  b.blocks = {{.first = 7}};
  b.point({0});
  b.file_size = b.data_at() + 512 + 1024;
  EXPECT_THAT(test::sectors_of_vhd(b.file()), ElementsAre(7, 8, 0, 0, 0, 0, 0, 0));
}

TEST(VhdMap, WhatAChildsBlockLacksAndDoesNotHaveIsTheParents) {
  const auto below = open_vhd(VhdBuilder{.blocks = {{.first = 100}}}.point({0}).file());
  ASSERT_TRUE(below);
  VhdBuilder b{.type = 4, .tail = false};
  b.blocks = {{.bits = {0xf0}, .first = 7}};
  b.point({0});
  b.file_size = b.data_at() + 512 + 1024;
  EXPECT_THAT(test::sectors_of_vhd(b.file(), below->get()),
              ElementsAre(7, 8, 0, 0, 104, 105, 106, 107));
}

TEST(VhdMapAttack, EntryPastTheEndOfTheFile) {
  VhdBuilder b{.blocks = {{.first = 1}}};
  b.point({0, -1});
  for (const uint64_t sector : {b.tail_at() / 512, b.tail_at() / 512 - 1, uint64_t{0xfffffffe}}) {
    b.table[1] = static_cast<uint32_t>(sector);
    EXPECT_THAT(map_of(b.file()),
                ElementsAre(HasSubstr("entry 1 points past the end of the data")));
  }
}

TEST(VhdMapAttack, EntryOverTheHeaders) {
  VhdBuilder b{.blocks = {{.first = 1}}};
  b.point({0, -1});
  for (const uint32_t sector : {0u, 1u, 3u}) {
    b.table[1] = sector;
    EXPECT_THAT(map_of(b.file()), ElementsAre(HasSubstr("entry 1 points at the headers")));
  }
}

TEST(VhdMapAttack, BlockOverTheFooterDoesNotShowIt) {
  VhdBuilder b{.blocks = {{.first = 7}}};
  b.point({0});
  b.table[0] = b.sector_of(0) + 1;
  EXPECT_EQ(test::sectors_of_vhd(b.file()).back(), 0);
}

TEST(VhdMap, ATableOfOneKindIsFewExtents) {
  VhdBuilder b;
  b.point(std::vector<int>(1000, -1));
  EXPECT_LE(map_of(b.file()).size(), 9u);
}

}  // namespace
}  // namespace platter::vhd
