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

// "64 KiB", "1.5 GiB": powers of 1024, rounded down; below 100 to three digits, from there on to
// whole units.
std::string human_size(uint64_t bytes);

// "10", "10k", "1.5G": k M G T P E are powers of 1024, either case, an optional "iB" or "B" behind
// them. A fraction ("1.1G", up to nine digits) is rounded down to a byte, and needs a unit. Empty
// on anything else and on overflow.
std::optional<uint64_t> parse_size(std::string_view text);

}  // namespace platter
