// The text of info.json: what `info` says of a state, and the counters of this mount.
#pragma once

#include <string>

#include "fusefs/served.h"

namespace platter::fusefs {

// As of now. Ends with a newline.
Result<std::string> live_info(const Served& served, const Disk& disk);

}  // namespace platter::fusefs
