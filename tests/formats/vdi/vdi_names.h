// What the tests of VDI write often.
#pragma once

#include "tests/support/vdi_builder.h"

namespace platter::vdi {

// Entries of a block map.
inline constexpr uint32_t kF = test::VdiBuilder::kFree, kZ = test::VdiBuilder::kZero;

// Offsets of the fields of a 1.1 header, and of the map behind it.
inline constexpr uint64_t kMapOffset = 340, kDataOffset = 344, kBlocks = 384, kCount = 388,
                          kModification = 408, kMap = 512;

}  // namespace platter::vdi
