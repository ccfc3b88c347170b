// A new VDI, written front to back.
#pragma once

#include "lib/image/format.h"

namespace platter::vdi {

// Options: "static" (on, off), "block_size". Errc::invalid for a size of 0, one whose block map
// would push the data past what a header can say (about 1 PiB), or a parent without a UUID.
Result<ImageWriterPtr> create_vdi(const CreateRequest& request);

// Errc::invalid for a parent that no VDI can name.
Result<void> check_parent(const ParentLink& parent);

}  // namespace platter::vdi
