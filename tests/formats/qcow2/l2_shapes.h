// Shapes of L2 tables with clusters of 64 KiB, for tests of single entries.
#pragma once

#include "formats/qcow2/l2.h"

namespace platter::qcow2::test {

inline constexpr uint64_t kCluster = 64 * KiB;
inline constexpr uint64_t kPart = kCluster / 32;  // a subcluster
inline constexpr L2Shape kPlain{.cluster_bits = 16};
inline constexpr L2Shape kExtended{.cluster_bits = 16, .extended = true};

}  // namespace platter::qcow2::test
