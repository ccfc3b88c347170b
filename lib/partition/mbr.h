// The partition table of a PC's master boot record, and the chain of its logical partitions.
#pragma once

#include <array>

#include "lib/base/endian.h"
#include "lib/partition/partition.h"

namespace platter {

// The conventional layout of sector 0 and of every extended boot record; numbers in sectors.
struct MbrEntry {
  uint8_t status = 0;  // 0x80: booted from; 0x00: not
  std::array<uint8_t, 3> first_chs = {};
  uint8_t type = 0;  // 0: the entry is unused
  std::array<uint8_t, 3> last_chs = {};
  le32 start;
  le32 length;

  bool used() const { return type != 0 && length != 0; }
  bool extended() const { return type == 0x05 || type == 0x0f || type == 0x85; }
  bool protects_gpt() const { return type == 0xee; }
};
static_assert(sizeof(MbrEntry) == 16);

struct BootRecord {
  std::array<std::byte, 446> code = {};
  std::array<MbrEntry, 4> entries = {};
  le16 signature;  // 0xaa55
};
static_assert(sizeof(BootRecord) == 512 && DiskStruct<BootRecord>);

inline constexpr uint16_t kBootSignature = 0xaa55;

// True when sector 0 of a disk of disk_size bytes is a partition table, and not the boot sector of
// a file system or anything else that ends in the same two bytes.
bool is_partition_table(const BootRecord& sector, uint64_t disk_size);

// The table of a disk whose sector 0 is one, by is_partition_table. Read errors only. Thread safe.
Result<PartitionTable> read_mbr(const View& view, const BootRecord& sector);

}  // namespace platter
