// Apple Data Compression, as old disk images of Apple have it.
#pragma once

#include "lib/image/extent.h"

namespace platter {

// Fills the unit; a stream that ends before, goes past the unit with one of its runs, or refers to
// bytes before it is Errc::corrupt. The format has no end mark: bytes behind are not looked at.
// Thread safe.
const Codec& adc_codec();

}  // namespace platter
