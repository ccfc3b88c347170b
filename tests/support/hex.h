// Bytes as hexadecimal digits, as test vectors are published.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "lib/base/range.h"

namespace platter::test {

inline std::string hex(Bytes bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

// 00 01 02 …
inline std::vector<std::byte> counting(size_t size) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i);
  return out;
}

}  // namespace platter::test
