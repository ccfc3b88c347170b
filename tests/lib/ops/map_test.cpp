#include "lib/ops/map.h"

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"

namespace platter {
namespace {

View::Mapped mapped(Extent::Kind kind, uint64_t length, size_t depth) {
  return {Extent{.guest = {0, length}, .kind = kind}, depth};
}

TEST(MapSummary, AddsUpByLayerAndKind) {
  MapSummary summary;
  summary.add(mapped(Extent::Kind::data, 10, 0));
  summary.add(mapped(Extent::Kind::data, 20, 2));
  summary.add(mapped(Extent::Kind::zero, 5, 2));
  summary.add(mapped(Extent::Kind::data, 1, 2));
  EXPECT_EQ(summary.layers(), 3U);
  EXPECT_EQ(summary.at(2, MapKind::data).extents, 2U);
  EXPECT_EQ(summary.at(2, MapKind::data).bytes, 21U);
  EXPECT_EQ(summary.at(1, MapKind::data).extents, 0U);
  EXPECT_EQ(summary.of(MapKind::data).bytes, 31U);
  EXPECT_EQ(summary.all().extents, 4U);
  EXPECT_EQ(summary.all().bytes, 36U);
}

TEST(MapSummary, IsEmptyWithoutExtents) {
  const MapSummary summary;
  EXPECT_EQ(summary.layers(), 0U);
  EXPECT_EQ(summary.all().bytes, 0U);
}

class PiecesOfADisk : public testing::Test {
 protected:
  bool add(Extent::Kind kind, uint64_t length, uint64_t host, uint32_t stored = 0) {
    return pieces_.add(
        {.guest = {0, length}, .kind = kind, .file = &file_, .host = host, .stored = stored});
  }
  Pieces pieces_;
  MemoryFile file_{"a"};
};

TEST_F(PiecesOfADisk, BeginWhereTheFileDoesNotGoOn) {
  EXPECT_TRUE(add(Extent::Kind::data, 1024, 4096));
  EXPECT_FALSE(add(Extent::Kind::data, 1024, 5120));
  EXPECT_FALSE(add(Extent::Kind::zero, 1024, 0)) << "takes no place";
  EXPECT_FALSE(add(Extent::Kind::data, 1024, 6144));
  EXPECT_TRUE(add(Extent::Kind::data, 512, 100));
  EXPECT_EQ(pieces_.count(), 2u);
}

TEST_F(PiecesOfADisk, MayBeStreamsSideBySide) {
  EXPECT_TRUE(add(Extent::Kind::encoded, 512, 100, 412));
  EXPECT_FALSE(add(Extent::Kind::encoded, 512, 100, 412)) << "the same unit";
  EXPECT_FALSE(add(Extent::Kind::encoded, 512, 450, 412)) << "in the last sector of the one before";
  EXPECT_TRUE(add(Extent::Kind::encoded, 512, 5000, 412));
}

TEST(MapKinds, HaveTheNamesOfTheContract) {
  EXPECT_EQ(kind_name(map_kind({.kind = Extent::Kind::data})), "data");
  EXPECT_EQ(kind_name(map_kind({.kind = Extent::Kind::zero})), "zero");
  EXPECT_EQ(kind_name(map_kind({.kind = Extent::Kind::absent})), "absent");
  EXPECT_EQ(kind_name(map_kind({.kind = Extent::Kind::encoded})), "compressed");
  const CipherPtr cipher = locked_cipher();
  EXPECT_EQ(kind_name(map_kind({.kind = Extent::Kind::data, .cipher = cipher.get()})), "encrypted");
}

}  // namespace
}  // namespace platter
