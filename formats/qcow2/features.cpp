#include "formats/qcow2/features.h"

#include <algorithm>

namespace platter::qcow2 {
namespace {

std::string name_of(FeatureKind kind, unsigned bit, const Extensions& extensions) {
  const auto* const known = std::find_if(kFeatures.begin(), kFeatures.end(), [&](const Feature& f) {
    return f.kind == kind && f.bit == bit;
  });
  if (known != kFeatures.end()) return std::string(known->name);
  return extensions.feature(static_cast<uint8_t>(kind), bit);
}

}  // namespace

std::vector<std::string> names_of_features(FeatureKind kind, uint64_t bits,
                                           const Extensions& extensions) {
  std::vector<std::string> names;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((bits >> bit & 1) != 0) names.push_back(name_of(kind, bit, extensions));
  }
  return names;
}

}  // namespace platter::qcow2
