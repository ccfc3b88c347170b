// The table of internal snapshots.
#pragma once

#include <string>
#include <vector>

#include "formats/qcow2/parse.h"
#include "lib/image/image.h"

namespace platter::qcow2 {

struct Snapshot {
  SnapshotInfo info;
  Table l1;              // empty when it cannot be followed
  std::string problem;   // why it cannot be read; the disk and the other snapshots can
  bool removed = false;  // while the image is open: its id is not used again
};

struct SnapshotTable {
  std::vector<Snapshot> list;  // in the table's order; ids count from 1
  std::vector<Range> places;   // of the file: where each of them is, without padding
  std::string fault;           // why the entries behind these cannot be followed

  // All of them.
  Range place() const {
    if (places.empty()) return {};
    return {places.front().offset, places.back().end() - places.front().offset};
  }
};
// An error is one of reading.
Result<SnapshotTable> read_snapshot_table(const File& file, const Header& header);

// The same, as far as it goes to the end. Errc::corrupt when the table itself cannot be followed.
Result<std::vector<Snapshot>> parse_snapshots(const File& file, const Header& header);

}  // namespace platter::qcow2
