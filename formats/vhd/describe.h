// What `info` shows of a VHD.
#pragma once

#include "formats/vhd/parse.h"
#include "lib/image/image.h"

namespace platter::vhd {

// allocated: blocks the table points at, where that was counted.
ImageInfo describe(const Parsed& parsed, std::optional<uint64_t> allocated);

}  // namespace platter::vhd
