#include "formats/vhd/utf16.h"

#include <cstdint>

#include "lib/base/text.h"

namespace platter::vhd {
namespace {

constexpr uint32_t kReplacement = 0xfffd;

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xe0 | c >> 12);
    } else {
      put(0xf0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3f));
    }
    put(0x80 | (c >> 6 & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

bool is_high(uint32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low(uint32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

}  // namespace

std::string text_of_utf16(Bytes bytes, UnitOrder order) {
  const size_t units = bytes.size() / 2;
  const auto unit = [&](size_t i) {
    const auto first = std::to_integer<uint32_t>(bytes[2 * i]);
    const auto second = std::to_integer<uint32_t>(bytes[2 * i + 1]);
    return order == UnitOrder::big ? first << 8 | second : second << 8 | first;
  };
  std::string text;
  for (size_t i = 0; i < units && unit(i) != 0; ++i) {
    uint32_t c = unit(i);
    if (is_high(c) && i + 1 < units && is_low(unit(i + 1))) {
      c = 0x10000 + ((c - 0xd800) << 10) + (unit(++i) - 0xdc00);
    } else if (is_high(c) || is_low(c)) {
      c = kReplacement;
    }
    append_utf8(text, c);
  }
  return text;
}

std::optional<std::vector<std::byte>> utf16_of(std::string_view text, UnitOrder order) {
  if (!is_utf8(text)) return std::nullopt;
  std::vector<std::byte> out;
  const auto put = [&](uint32_t unit) {
    const auto high = static_cast<std::byte>(unit >> 8), low = static_cast<std::byte>(unit & 0xff);
    out.push_back(order == UnitOrder::big ? high : low);
    out.push_back(order == UnitOrder::big ? low : high);
  };
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    const unsigned more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? lead : lead & (0x3fU >> more);
    for (unsigned n = 0; n < more; ++n) {
      c = c << 6 | (static_cast<unsigned char>(text[i++]) & 0x3fU);
    }
    if (c < 0x10000) {
      put(c);
    } else {
      put(0xd800 + ((c - 0x10000) >> 10));
      put(0xdc00 + ((c - 0x10000) & 0x3ff));
    }
  }
  return out;
}

}  // namespace platter::vhd
