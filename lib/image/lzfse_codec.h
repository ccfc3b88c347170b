// LZFSE, as newer disk images of Apple have it.
#pragma once

#include "lib/image/extent.h"

namespace platter {

// Fills the unit from a stream of blocks of any kind (stored, LZVN, LZFSE with either header) whose
// end mark comes where the unit is full; else Errc::corrupt. Bytes behind the mark are not looked
// at. Work and memory are bounded by the lengths of the two. Thread safe.
const Codec& lzfse_codec();

}  // namespace platter
