// What `info` says, for people.
#pragma once

#include <iosfwd>

#include <nlohmann/json_fwd.hpp>

namespace platter {

// info: as describe() makes it.
void print_info(std::ostream& out, const nlohmann::json& info);

}  // namespace platter
