// Grain tables and directories behind the first grain, which give way to a shorter file.
#pragma once

#include <optional>

#include "formats/vmdk/grain_scan.h"

namespace platter::vmdk {

// What is planned here comes from a scan of a sound extent, which is marked unclean before it is
// done. It is durable on return; a crash leaves the same disk, and leaks at most.

// Pairs of tables behind the first grain that say nothing: where others are missing already, so
// that whoever reads the extent knows of that.
Result<std::vector<TablePair>> empty_tables(const File& file, const SparseHeader& header,
                                            const GrainScan& scan);
// The directories have none of them any more.
Result<void> drop_tables(File& file, const SparseHeader& header, std::span<const TablePair> pairs);

// Where the directories will be, bytes.
struct DirectoryMove {
  uint64_t directory = 0, redundant = 0;
};
// Of those that lie behind everything the file would hold without gaps, into gaps with room for
// them; empty: none of them.
std::optional<DirectoryMove> moves_of_directories(const SparseHeader& header,
                                                  const GrainScan& scan);
// Afterwards the header says where they are.
Result<void> move_directories(File& file, const SparseHeader& header, const DirectoryMove& move);

struct TableMove {
  uint64_t from = 0, to = 0;  // bytes of the file
  uint64_t entry = 0;         // of a directory, which points at it, bytes
};
// Likewise, of tables.
std::vector<TableMove> moves_of_tables(const SparseHeader& header, const GrainScan& scan);
Result<void> move_tables(File& file, const SparseHeader& header, std::span<const TableMove> moves);

}  // namespace platter::vmdk
