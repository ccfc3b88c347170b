// Partition tables as lines, ours and libblkid's.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/partition/partition.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_container.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"

namespace platter::test {

inline PartitionTable read_table(const std::shared_ptr<MemoryFile>& file) {
  const MemoryDisk disk = memory_disk(file);
  auto table = read_partitions(*disk.view);
  if (!table) throw std::runtime_error(table.error().message());
  return *std::move(table);
}

// "NUMBER START+LENGTH", in units of 512 bytes.
inline std::vector<std::string> lines_of(const PartitionTable& table) {
  std::vector<std::string> lines;
  for (const Partition& p : table.partitions) {
    lines.push_back(std::to_string(p.number) + " " + std::to_string(p.range.offset / 512) + "+" +
                    std::to_string(p.range.length / 512));
  }
  return lines;
}

// The same by partx(8).
inline std::vector<std::string> partx_of(const MemoryFile& file) {
  const TempDir dir;
  write_file(dir / "disk", read_text(file, 0, 4 * MiB));
  const Outcome told = run({"partx", "--raw", "-g", "-o", "NR,START,SECTORS", dir / "disk"});
  std::vector<std::string> lines;
  std::istringstream in(told.out);
  for (std::string number, start, count; in >> number >> start >> count;) {
    lines.push_back(number + " " + start + "+" + count);
  }
  return lines;
}

}  // namespace platter::test
