// Raw deflate (RFC 1951) as compressed clusters have it.
#pragma once

#include "lib/image/extent.h"

namespace platter {

// Fills the unit from a raw deflate stream, whatever window its encoder used. QEMU's verdicts: the
// stream may go on where the unit is full, but not badly; one that ends before is Errc::corrupt.
// Thread safe.
const Codec& deflate_codec();

}  // namespace platter
