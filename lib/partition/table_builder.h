// TableBuilder: what the entries of a partition table say, made into ranges inside the disk.
#pragma once

#include "lib/partition/partition.h"

namespace platter {

// One thread.
class TableBuilder {
 public:
  // sector_size: bytes; the unit of the entries' numbers. disk_size: bytes.
  TableBuilder(PartitionTable::Scheme scheme, uint64_t sector_size, uint64_t disk_size);

  // What an entry says, in sectors; any numbers. last: the last sector of the partition itself.
  struct Entry {
    unsigned number = 0;
    uint64_t first = 0, last = 0;
    std::string type, name;
    std::optional<Uuid> uuid;
    bool inner = false;
  };
  // Cut at the end of the disk, or left out when nothing of it is inside, with a warning.
  void add(Entry entry);
  void warn(std::string text);

  uint64_t sector_size() const { return table_.sector_size; }
  bool empty() const { return table_.partitions.empty(); }
  // By number; overlaps are warned about and kept: a hybrid CD image has them on purpose.
  PartitionTable finish() &&;

 private:
  void warn_about_overlaps();

  PartitionTable table_;
  uint64_t disk_size_;
  size_t unsaid_ = 0;  // warnings past the limit
};

}  // namespace platter
