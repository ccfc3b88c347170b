// Disk images that Platter recognises but does not read: their bytes must not pass for a raw disk.
#pragma once

#include <string_view>

#include "lib/image/format.h"

namespace platter {

// "a VMDK image", or empty when the bytes are no known kind of disk image. Thread safe.
std::string_view foreign_kind(const ProbeInput& input);

}  // namespace platter
