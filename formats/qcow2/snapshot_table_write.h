// A new snapshot table, with one entry more, less, or of another name. The others keep their bytes.
#pragma once

#include <optional>
#include <string_view>

#include "formats/qcow2/snapshot_table.h"

namespace platter::qcow2 {

// Of a snapshot that is made now.
struct NewSnapshot {
  std::string_view name;
  uint64_t disk_size = 0;  // bytes
  Table l1;
};

// The entry for it, and what the program says of it; others: those the image has.
struct NewEntry {
  std::vector<std::byte> bytes;
  Snapshot snapshot;
};
NewEntry new_snapshot_entry(const NewSnapshot& snapshot, const std::vector<Snapshot>& others);

// What goes at one place of the table: an entry as it is in the file, or these bytes.
struct TableEntry {
  Range from;  // empty: bytes
  std::vector<std::byte> bytes;
};
// The entry of the file with another name.
Result<TableEntry> renamed_entry(const File& file, const Range& entry, std::string_view name);

// Bytes of the table. Errc::no_space: more than a table may have.
Result<uint64_t> table_bytes(const std::vector<TableEntry>& entries);
// Not synced.
Result<void> write_snapshot_table(File& file, uint64_t offset,
                                  const std::vector<TableEntry>& entries);

}  // namespace platter::qcow2
