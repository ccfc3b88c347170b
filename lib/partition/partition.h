// Partitions of a disk: MBR with logical ones and BSD slices, GPT, Apple's map, a BSD label. Read
// from a View, never from a device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/container/view.h"

namespace platter {

struct Partition {
  // The partition table's own. Logical ones of an MBR start at 5, those in BSD slices follow them;
  // a BSD label's a is 1.
  unsigned number = 0;
  Range range;               // bytes, inside the disk, not empty
  std::string type;          // "0x83", a GPT type as a UUID, "Apple_HFS", "bsd:0x07"
  std::string name;          // UTF-8; MBR and BSD: empty
  std::optional<Uuid> uuid;  // GPT: the entry's own
  bool inner = false;        // lies in another one: a BSD slice
};

// A table inside a partition, a BSD label, lies in the first bytes of it.
inline constexpr uint64_t kInnerTableEnd = 1 * KiB;

struct PartitionTable {
  enum class Scheme : unsigned char { none, mbr, gpt, apm, bsd };
  Scheme scheme = Scheme::none;
  uint64_t sector_size = 512;         // bytes; 512 or 4096
  std::vector<Partition> partitions;  // by number
  std::vector<std::string> warnings;  // what was put up with: a damaged copy, a cut entry
};

std::string_view to_string(PartitionTable::Scheme scheme);

// No table at all is an empty PartitionTable; what an entry says beyond the disk is cut or left
// out with a warning. Errors are read errors only. Reads at most a few MiB. Thread safe.
Result<PartitionTable> read_partitions(const View& view);

}  // namespace platter
