// New VHDs.
#pragma once

#include "lib/image/format.h"

namespace platter::vhd {

// As Format::create().
Result<ImageWriterPtr> create_vhd(const CreateRequest& request);

}  // namespace platter::vhd
