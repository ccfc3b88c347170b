// What `info` says of a container, and what info.json in a mount holds.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lib/container/container.h"

namespace platter {

struct InfoRequest {
  const Container& container;
  const State* state = nullptr;  // null: the disk itself
  bool chain = false;            // also one object a layer
};

// The object of `info --json` (shared contract: file format variant virtual_size allocated_size
// block_size uuid parent parent_uuid snapshots encrypted dirty corrupt comment geometry chain …).
Result<nlohmann::json> describe(const InfoRequest& request);

}  // namespace platter
