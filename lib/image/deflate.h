// Raw deflate (RFC 1951) as compressed clusters have it, written.
#pragma once

#include "lib/image/encoder.h"

namespace platter {

// Streams that look back as far as deflate can, 32 KiB. Thread safe.
const Encoder& deflate_encoder(Effort effort);

// Streams for readers that keep a window of 4 KiB (12 bits) and no more: slower to make, and
// larger. Thread safe.
const Encoder& deflate_4k_encoder(Effort effort);

}  // namespace platter
