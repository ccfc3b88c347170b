// New qcow2 images, written front to back.
#pragma once

#include "lib/image/format.h"

namespace platter::qcow2 {

// Errc::invalid for an option or a size the format cannot have; nothing is written then.
Result<ImageWriterPtr> create_image(const CreateRequest& request);

}  // namespace platter::qcow2
