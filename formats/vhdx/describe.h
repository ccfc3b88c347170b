// What a VHDX says of itself.
#pragma once

#include "formats/vhdx/parse.h"
#include "lib/image/image.h"

namespace platter::vhdx {

ImageInfo describe(const Parsed& header);

}  // namespace platter::vhdx
