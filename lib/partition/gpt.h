// GUID partition tables (UEFI specification 2.10, section 5.3).
#pragma once

#include "lib/partition/partition.h"

namespace platter {

// The table of a disk whose MBR announces one: the primary copy, or with a warning the backup at
// the end of the disk; sectors of 512 and of 4096 bytes. Scheme none, with warnings that say what
// is wrong with each copy, when neither is whole. Read errors only. Thread safe.
Result<PartitionTable> read_gpt(const View& view);

}  // namespace platter
