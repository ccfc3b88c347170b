#include "lib/base/uuid.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

namespace platter {
namespace {

// Position i on disk holds the byte kMicrosoft[i] of the printed form; the map is its own inverse.
constexpr std::array<size_t, 16> kMicrosoft = {3, 2, 1,  0,  5,  4,  7,  6,
                                               8, 9, 10, 11, 12, 13, 14, 15};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool Uuid::is_nil() const {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::string Uuid::to_string() const {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return text;
}

Uuid Uuid::from_microsoft(Bytes in) {
  Uuid result;
  for (size_t i = 0; i < kMicrosoft.size(); ++i) result.bytes[kMicrosoft[i]] = in[i];
  return result;
}

std::array<std::byte, 16> Uuid::to_microsoft() const {
  std::array<std::byte, 16> out{};
  for (size_t i = 0; i < kMicrosoft.size(); ++i) out[i] = bytes[kMicrosoft[i]];
  return out;
}

Uuid Uuid::random() {
  Uuid result;
  // 16 bytes never come short or interrupted (getrandom(2)).
  if (getrandom(result.bytes.data(), result.bytes.size(), 0) != 16) std::abort();
  result.bytes[6] = (result.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  result.bytes[8] = (result.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return result;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() >= 2 && text.front() == '{' && text.back() == '}') {
    text = text.substr(1, text.size() - 2);
  }
  if (text.size() != 36) return std::nullopt;
  Uuid result;
  size_t at = 0;
  for (size_t i = 0; i < 16; ++i) {
    if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-') return std::nullopt;
    const int high = hex_digit(text[at++]);
    const int low = hex_digit(text[at++]);
    if (high < 0 || low < 0) return std::nullopt;
    result.bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return result;
}

}  // namespace platter
