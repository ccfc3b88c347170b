// Fields of the header that a repair changes: each in one write inside one sector, which a crash
// leaves old or new. None of these syncs.
#pragma once

#include "formats/qcow2/parse.h"

namespace platter::qcow2 {

Result<void> write_refcount_place(File& file, const Table& table, uint32_t cluster_bits);
Result<void> write_l1_offset(File& file, const Table& table);
// The snapshot table ends after count entries.
Result<void> write_snapshot_count(File& file, uint32_t count);

// Version 3 only.
Result<void> clear_incompatible(File& file, uint64_t bits);
Result<void> clear_autoclear(File& file, uint64_t bits);

}  // namespace platter::qcow2
