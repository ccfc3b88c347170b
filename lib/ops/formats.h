// What each format of this build can do.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace platter {

// The array of `formats --json` (shared contract: name extensions read write create variants diff
// resize compact check repair snapshot encrypt), in the order of the names.
nlohmann::json describe_formats();

}  // namespace platter
