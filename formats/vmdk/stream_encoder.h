// Guest bytes to a compressed grain: the other way round from GrainCodec.
#pragma once

#include "lib/image/encoder.h"

namespace platter::vmdk {

// zlib streams (RFC 1950), without a marker. What compressing makes no smaller is stored in one as
// it is: given max_encoded() bytes of room every grain fits. Thread safe.
const Encoder& grain_encoder(Effort effort);

// The most bytes a grain of so many becomes.
uint64_t max_encoded(uint64_t grain);

}  // namespace platter::vmdk
