// New qcow2 images, written front to back.
#pragma once

#include <array>

#include "lib/image/format.h"

namespace platter::qcow2 {

inline constexpr std::array<OptionSpec, 3> kCreateOptions = {{
    {"cluster_size", "bytes in a cluster, a power of two from 512 to 2M", "64k"},
    {"compat", "version of the format: 0.10 (version 2) or 1.1 (version 3)", "1.1"},
    {"refcount_bits", "width of a refcount: 1, 2, 4, 8, 16, 32 or 64; 16 with compat=0.10", "16"},
}};

// Errc::invalid for an option or a size the format cannot have; nothing is written then.
Result<ImageWriterPtr> create_image(const CreateRequest& request);

}  // namespace platter::qcow2
