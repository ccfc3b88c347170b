// Where the other program is.
#pragma once

#include <string>

namespace platter {

// The platterfs installed with this program, else the one PATH finds.
std::string find_platterfs();

}  // namespace platter
