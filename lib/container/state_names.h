// How the names of snapshots and layers become directory entries.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace platter {

// "%", "/" and control bytes become %XX, "." and ".." too; at most 255 bytes, cut between
// characters.
std::string escape_entry(std::string_view name);

struct EntryName {
  std::string name;
  std::string
      id;  // tells it from another of the same name: the later becomes NAME@ID, or NAME@ID@2 …
};
// No two alike, in the order given.
std::vector<std::string> entry_names(const std::vector<EntryName>& names);

}  // namespace platter
