// A new qcow, written front to back.
#pragma once

#include "lib/image/format.h"

namespace platter::qcow {

// Options: "cluster_size", "backing_fmt". Errc::invalid for a size no qcow can have, or a parent
// whose name is too long.
Result<ImageWriterPtr> create_image(const CreateRequest& request);

}  // namespace platter::qcow
