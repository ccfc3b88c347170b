// The text that a VHD keeps of its parent.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/range.h"

namespace platter::vhd {

enum class UnitOrder : unsigned char { little, big };

// Up to the first NUL. Half of a pair alone becomes U+FFFD; an odd last byte is left out.
std::string text_of_utf16(Bytes bytes, UnitOrder order);
// Empty: not UTF-8.
std::optional<std::vector<std::byte>> utf16_of(std::string_view text, UnitOrder order);

}  // namespace platter::vhd
