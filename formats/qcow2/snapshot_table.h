// The table of internal snapshots.
#pragma once

#include <string>
#include <vector>

#include "formats/qcow2/parse.h"
#include "lib/image/image.h"

namespace platter::qcow2 {

struct Snapshot {
  SnapshotInfo info;
  Table l1;             // empty when there is a problem
  std::string problem;  // why it cannot be read; the disk and the other snapshots can
};

// In the table's order; ids count from 1. Errc::corrupt when the table itself cannot be followed.
Result<std::vector<Snapshot>> parse_snapshots(const File& file, const Header& header);

}  // namespace platter::qcow2
