// How the names of snapshots and layers become directory entries.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace platter {

// "%", "/" and control bytes become %XX, "." and ".." too; at most 255 bytes, cut between
// characters.
std::string escape_entry(std::string_view name);
// The name that is escaped like this; empty: none is.
std::optional<std::string> unescape_entry(std::string_view entry);

struct EntryName {
  std::string name;
  std::string
      id;  // tells it from another of the same name: the later becomes NAME@ID, or NAME@ID@2 …
};
// No two alike, in the order given.
std::vector<std::string> entry_names(const std::vector<EntryName>& names);

}  // namespace platter
