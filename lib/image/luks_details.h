// What `info` says of a LUKS header; nothing of its keys.
#pragma once

#include "lib/image/image.h"

namespace platter {

// Adds to details and, for what a check would report, to warnings.
void describe_luks(const LuksHeader& header, ImageInfo& info);

// What is wrong with a header that could be parsed, for a check.
std::vector<std::string> luks_faults(const LuksHeader& header);

}  // namespace platter
