#include "lib/ops/map.h"

#include <gtest/gtest.h>

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
