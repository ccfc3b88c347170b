// Feature bits of the header, by their names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/qcow2/extensions.h"

namespace platter::qcow2 {

// RawFeatureName::kind.
enum class FeatureKind : uint8_t { incompatible = 0, compatible = 1, autoclear = 2 };

struct Feature {
  FeatureKind kind;
  uint8_t bit;
  std::string_view name;
};
// Specification, "Header": the names QEMU gives them.
inline constexpr std::array<Feature, 8> kFeatures = {{
    {FeatureKind::incompatible, 0, "dirty bit"},
    {FeatureKind::incompatible, 1, "corrupt bit"},
    {FeatureKind::incompatible, 2, "external data file"},
    {FeatureKind::incompatible, 3, "compression type"},
    {FeatureKind::incompatible, 4, "extended L2 entries"},
    {FeatureKind::compatible, 0, "lazy refcounts"},
    {FeatureKind::autoclear, 0, "bitmaps"},
    {FeatureKind::autoclear, 1, "raw external data"},
}};

// Of each bit that is set: its name here, or else in the image's own table, or "bit N".
std::vector<std::string> names_of_features(FeatureKind kind, uint64_t bits,
                                           const Extensions& extensions);

}  // namespace platter::qcow2
