// Values of Metadata, as a person writes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/image/image.h"

namespace platter {

// Also "random". Errc::invalid, which names the key.
Result<Uuid> uuid_value(std::string_view key, const std::string& value);

// "1024/255/63".
std::optional<Geometry> parse_chs(std::string_view text);

}  // namespace platter
