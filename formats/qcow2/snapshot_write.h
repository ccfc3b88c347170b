// A new internal snapshot, made so that one sector of the header decides whether it is there.
#pragma once

#include <string_view>

#include "formats/qcow2/allocator.h"
#include "formats/qcow2/l1_table.h"
#include "formats/qcow2/l2_edit.h"

namespace platter::qcow2 {

// What a writable image is made of; all of it outlives the call.
struct SnapshotHost {
  FilePtr file;
  Header& header;  // its place and number of snapshots are brought up to date
  const std::vector<Snapshot>& snapshots;
  uint64_t disk_size = 0;  // bytes
  L2Shape shape;
  L1Table& l1;
  Refcounts& refcounts;
  FlushOrder& order;
  MetadataMap& metadata;
  Allocator& allocator;
  std::shared_ptr<PageCache> clean;
};

// The state of the disk under this name, as Image::create_snapshot() has it: nothing waits for a
// flush, and nobody reads or writes the image meanwhile. What the image does not need any more is
// dropped in the allocator. not_sure: set when an error leaves open which state the header names;
// nothing may be written then.
Result<Snapshot> create_snapshot(const SnapshotHost& host, std::string_view name, bool& not_sure);

}  // namespace platter::qcow2
