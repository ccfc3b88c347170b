// The Apple partition map.
#pragma once

#include <array>

#include "lib/base/endian.h"
#include "lib/partition/partition.h"

namespace platter {

// "Inside Macintosh: Devices", chapter 3. Block 0: how large a block is.
struct DriverDescriptor {
  be16 signature;   // "ER"
  be16 block_size;  // bytes: 512, or 2048 on a CD
};
static_assert(sizeof(DriverDescriptor) == 4 && DiskStruct<DriverDescriptor>);

// Blocks 1 to map_blocks each have one of these, also one for the map itself.
struct ApmEntry {
  be16 signature;  // "PM"
  be16 padding;
  be32 map_blocks;  // entries in the map
  be32 start;       // in blocks
  be32 length;
  std::array<char, 32> name = {};  // NUL behind it unless it takes all
  std::array<char, 32> type = {};
};
static_assert(sizeof(ApmEntry) == 80 && DiskStruct<ApmEntry>);

inline constexpr uint16_t kDriverSignature = 0x4552;
inline constexpr uint16_t kApmSignature = 0x504d;

// Empty: the disk has no such map. Free space in it is no partition. Read errors only. Thread safe.
Result<std::optional<PartitionTable>> read_apm(const View& view);

}  // namespace platter
