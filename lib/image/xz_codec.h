// The xz container (LZMA2), as disk images of Apple have it.
#pragma once

#include "lib/image/extent.h"

namespace platter {

// Fills the unit from one xz stream that ends exactly with it; else Errc::corrupt. Bytes behind the
// stream are not looked at. Errc::unsupported: the stream wants more than 72 MiB of memory to be
// decoded (what `xz -9` makes wants 65), or filters that nobody knows. Thread safe.
const Codec& xz_codec();

}  // namespace platter
