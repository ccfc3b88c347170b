// bzip2, as disk images of Apple have it.
#pragma once

#include "lib/image/extent.h"

namespace platter {

// Fills the unit from one bzip2 stream that ends exactly with it; else Errc::corrupt. Bytes behind
// the stream are not looked at. Memory: some 4 MiB while it runs. Thread safe.
const Codec& bzip2_codec();

}  // namespace platter
