// File names from inside an image.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/range.h"
#include "lib/base/result.h"

namespace platter {

// NULs at its end are dropped. Errc::corrupt when one stands elsewhere in it. what: for the
// message.
Result<std::string> stored_name(std::string_view what, Bytes raw);

}  // namespace platter
