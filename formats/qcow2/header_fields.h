// The fields of the header that change while an image is used: each in one write inside one sector,
// which a crash leaves old or new.
#pragma once

#include "formats/qcow2/parse.h"

namespace platter::qcow2 {

// None of these syncs; offsets and sizes were checked by whoever made the tables.
Result<void> write_refcount_table_place(File& file, const Table& table, const Header& header);
Result<void> write_l1_place(File& file, const Table& table);
Result<void> write_disk_size(File& file, uint64_t size);
Result<void> write_snapshots_place(File& file, uint64_t offset, uint32_t count);

// All of them at once: another state of the image.
struct StatePlaces {
  uint64_t disk_size = 0;  // bytes
  Table l1, refcount_table;
  uint64_t snapshots_offset = 0;
  uint32_t snapshots = 0;
};
Result<void> write_state_places(File& file, const StatePlaces& places, const Header& header);

// Version 3 only.
Result<void> write_incompatible(File& file, uint64_t features);
Result<void> write_lazy_refcounts(File& file, bool allowed);
Result<void> write_autoclear(File& file, uint64_t features);
// Marks the image as corrupt, durably. Version 2 has no such mark: nothing happens.
Result<void> mark_corrupt(File& file, uint32_t version);

}  // namespace platter::qcow2
