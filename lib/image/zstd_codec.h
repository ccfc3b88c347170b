// Zstandard (RFC 8878) as compressed clusters have it.
#pragma once

#include "lib/image/encoder.h"
#include "lib/image/extent.h"

namespace platter {

// Fills the unit from one or more frames, the last of which ends exactly with the unit; else
// Errc::corrupt. Bytes behind that frame are not looked at. Thread safe.
const Codec& zstd_codec();

// Makes one frame that says how long the unit is. Thread safe.
const Encoder& zstd_encoder(Effort effort);

}  // namespace platter
