// Encoder: guest bytes to a stored (compressed) unit, the other way round from a Codec.
#pragma once

#include <cstddef>

#include "lib/base/range.h"
#include "lib/base/result.h"

namespace platter {

// How much work compressing is worth.
enum class Effort : unsigned char {
  usual,  // about the size that the format's own tools make
  fast,   // the fastest that is still worth the name
};

// Any thread, no file.
class Encoder {
 public:
  virtual ~Encoder() = default;
  // The bytes at the start of stored that are the unit now; 0: it does not fit there. Errc::io: no
  // memory.
  virtual Result<size_t> encode(Bytes unit, MutableBytes stored) const = 0;
};

}  // namespace platter
