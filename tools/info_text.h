// What `info` says, for people.
#pragma once

#include <iosfwd>

#include <nlohmann/json_fwd.hpp>

namespace platter {

// info: as describe() makes it.
void print_info(std::ostream& out, const nlohmann::json& info);

// Prints what describe_archive() gave.
void print_cache(std::ostream& out, const nlohmann::json& info);
void print_archive(std::ostream& out, const nlohmann::json& info);

// snapshots: as in it. A table with a line of headings; nothing when there are none.
void print_snapshots(std::ostream& out, const nlohmann::json& snapshots);

}  // namespace platter
