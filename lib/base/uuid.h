// UUIDs, and the two byte orders in which formats keep them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/range.h"

namespace platter {

// Kept in RFC 4122 order: bytes[0] is the first one printed.
struct Uuid {
  std::array<std::byte, 16> bytes{};

  bool is_nil() const;
  std::string to_string() const;  // lower case, with dashes
  friend bool operator==(const Uuid&, const Uuid&) = default;

  // Microsoft's order (VDI, VHDX): the first three groups are little-endian. in: 16 bytes.
  static Uuid from_microsoft(Bytes in);
  std::array<std::byte, 16> to_microsoft() const;

  static Uuid random();  // version 4
  static std::optional<Uuid> parse(std::string_view text);
};

}  // namespace platter
