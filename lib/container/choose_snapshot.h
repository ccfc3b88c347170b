// Which snapshot a person means.
#pragma once

#include <string_view>
#include <vector>

#include "lib/image/image.h"

namespace platter {

// What a bare word names: that differs by what is done with it.
enum class NamedBy : unsigned char {
  name,
  name_or_id,  // an id when there is no such name
  id_or_name,  // a name when there is no such id
};
// Of the snapshots meant by wanted their indices: "id:X", "name:X", or X as of named_by.
std::vector<size_t> find_snapshots(const std::vector<SnapshotInfo>& snapshots,
                                   std::string_view wanted, NamedBy named_by);
// The only one of them. Errc::not_found: there is none; invalid: more than one.
Result<SnapshotInfo> choose_snapshot(const std::vector<SnapshotInfo>& snapshots,
                                     std::string_view wanted, NamedBy named_by);
Error several_snapshots(size_t count, std::string_view wanted);

}  // namespace platter
