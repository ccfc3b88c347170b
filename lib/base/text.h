// Text for people: escaping of what a disk said, sizes with units.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace platter {

// Control characters and bytes that are not UTF-8 become \xNN, so that a name inside an image
// cannot steer a terminal. Everything else stays.
std::string printable(std::string_view text);

// Well-formed UTF-8: no overlong forms, no surrogates, nothing past U+10FFFF.
bool is_utf8(std::string_view text);

// "64 KiB", "1.5 GiB": powers of 1024, at most three significant digits after rounding down to
// them.
std::string human_size(uint64_t bytes);

// "10", "10k", "1.5G": k M G T P E are powers of 1024, either case, an optional "iB" or "B" behind
// them. Empty on anything else, on overflow, and on a fraction of a byte.
std::optional<uint64_t> parse_size(std::string_view text);

}  // namespace platter
