// Deflate as compressed clusters have it (raw, RFC 1951), and with a header and a checksum (zlib,
// RFC 1950).
#pragma once

#include "lib/image/extent.h"

namespace platter {

// Fills the unit from a raw deflate stream, whatever window its encoder used. QEMU's verdicts: the
// stream may go on where the unit is full, but not badly; one that ends before is Errc::corrupt.
// Thread safe.
const Codec& deflate_codec();

// Fills the unit from a zlib stream that ends exactly with it and has the right checksum; else
// Errc::corrupt. Bytes behind the stream are not looked at. Thread safe.
const Codec& zlib_codec();

}  // namespace platter
