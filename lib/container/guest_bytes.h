// The guest's bytes of a data extent, encrypted or not.
#pragma once

#include "lib/image/extent.h"

namespace platter {

// out: extent.guest.length bytes. Errc::corrupt: the file ends before. Thread safe, also beside
// overwrite(): bytes nobody is writing to read as what they are.
Result<void> read_data(const Extent& extent, MutableBytes out);

// data: extent.guest.length bytes, which are left as they are. Of an encrypted extent the caller
// has the sectors around it alone, but for readers.
Result<void> overwrite(const Extent& extent, Bytes data);

}  // namespace platter
