// LZVN, the simpler of the two ways in which a block of an LZFSE stream is compressed.
#pragma once

#include "lib/base/range.h"

namespace platter {

// Appends what payload stands for to the first at bytes of unit, to which it may refer; at moves
// on. False unless payload has the mark of its end, and the unit the room. Thread safe.
bool decode_lzvn(Bytes payload, MutableBytes unit, size_t& at);

}  // namespace platter
