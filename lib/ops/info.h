// What `info` says of a container, and what info.json in a mount holds.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lib/container/container.h"
#include "lib/image/archive.h"

namespace platter {

struct InfoRequest {
  const Container& container;
  const State* state = nullptr;  // null: the disk itself
  bool chain = false;            // also one object a layer
  // Also the partitions of the disk, read from the view: the container was opened with its parents.
  // A view that cannot be read is a warning in the object.
  bool partitions = false;
};

// The object of `info --json` (shared contract: file format variant virtual_size allocated_size
// block_size uuid parent parent_uuid snapshots encrypted dirty corrupt comment geometry chain …; of
// partitions: partition_table and partitions[], each with number start length type name uuid).
Result<nlohmann::json> describe(const InfoRequest& request);

// The same of an archive of disks at that path: file format allocated_size systems[] warnings[],
// and disks[], each with id member offset size capacity format virtual_size declared_format parent
// problem. Opens every disk, but no parents; one that cannot be opened has a problem that says why.
Result<nlohmann::json> describe_archive(const std::string& path, const Archive& archive);

// Of a cache image at that path: file format allocated_size size clean damage uuid
// modification_uuid disk_size lines data_bytes table_bytes free_bytes hit_bytes miss_bytes. Empty:
// it is none, or cannot be opened.
Result<std::optional<nlohmann::json>> describe_cache(const std::string& path);

}  // namespace platter
