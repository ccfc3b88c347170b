// Partitions of a disk: MBR with logical ones, GPT. Read from a View, never from a device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/container/view.h"

namespace platter {

struct Partition {
  unsigned number = 0;       // the partition table's own: logical ones of an MBR start at 5
  Range range;               // bytes, inside the disk, not empty
  std::string type;          // "0x83", or a GPT type as a UUID
  std::string name;          // GPT: UTF-8 made from the entry's; MBR: empty
  std::optional<Uuid> uuid;  // GPT: the entry's own
};

struct PartitionTable {
  enum class Scheme : unsigned char { none, mbr, gpt };
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
