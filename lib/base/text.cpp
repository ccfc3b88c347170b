#include "lib/base/text.h"

#include <array>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter {
namespace {

// The length of the well-formed UTF-8 sequence at the start of text, 0 when there is none
// (RFC 3629, section 4).
size_t utf8_sequence(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && at(1) < 0xa0) return 0;
  if (first == 0xed && at(1) > 0x9f) return 0;
  if (first == 0xf0 && at(1) < 0x90) return 0;
  if (first == 0xf4 && at(1) > 0x8f) return 0;
  return length;
}

constexpr std::string_view kUnits = "kmgtpe";

// The factor of a unit suffix, 0 when it is not one.
uint64_t unit_factor(std::string_view suffix) {
  if (suffix.empty() || suffix == "B" || suffix == "b") return 1;
  const char lower = static_cast<char>(suffix.front() | 0x20);
  const size_t power = kUnits.find(lower);
  const std::string_view rest = suffix.substr(1);
  if (power == std::string_view::npos || (!rest.empty() && rest != "iB" && rest != "B")) return 0;
  return uint64_t{1} << (10 * (power + 1));
}

std::optional<uint64_t> digits(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto scaled = checked_mul(value, 10);
    const auto sum = scaled ? checked_add(*scaled, static_cast<uint64_t>(c - '0')) : std::nullopt;
    if (!sum) return std::nullopt;
    value = *sum;
  }
  return value;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    const auto first = static_cast<unsigned char>(text.front());
    // U+0080 to U+009F are control characters too.
    const bool c1 = length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (length == 0 || first < 0x20 || first == 0x7f || c1) {
      out += fmt::format("\\x{:02x}", first);
      text.remove_prefix(1);
      continue;
    }
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string human_size(uint64_t bytes) {
  if (bytes < KiB) return fmt::format("{} B", bytes);
  constexpr std::array<char, 6> kPrefix = {'K', 'M', 'G', 'T', 'P', 'E'};
  size_t unit = 0;
  uint64_t scale = KiB;
  while (unit + 1 < kPrefix.size() && bytes / scale >= 1024) {
    scale *= 1024;
    ++unit;
  }
  const uint64_t whole = bytes / scale;
  const size_t places = whole >= 100 ? 0 : whole >= 10 ? 1 : 2;
  uint64_t rest = bytes % scale;
  std::string fraction;
  while (fraction.size() < places) {
    rest *= 10;
    fraction += static_cast<char>('0' + rest / scale);
    rest %= scale;
  }
  fraction.resize(fraction.find_last_not_of('0') + 1);
  return fmt::format("{}{}{} {}iB", whole, fraction.empty() ? "" : ".", fraction, kPrefix[unit]);
}

std::optional<uint64_t> parse_size(std::string_view text) {
  const size_t number = std::min(text.find_first_not_of("0123456789."), text.size());
  const uint64_t factor = unit_factor(text.substr(number));
  const std::string_view amount = text.substr(0, number);
  const size_t dot = std::min(amount.find('.'), amount.size());
  if (factor == 0 || dot == 0) return std::nullopt;
  const auto whole = digits(amount.substr(0, dot));
  const auto bytes = whole ? checked_mul(*whole, factor) : std::nullopt;
  if (!bytes || dot == amount.size()) return bytes;
  const std::string_view tail = amount.substr(dot + 1);
  if (tail.empty() || tail.size() > 9 || factor == 1) return std::nullopt;
  const auto part = digits(tail);
  if (!part) return std::nullopt;
  uint64_t ten = 1;
  for (size_t i = 0; i < tail.size(); ++i) ten *= 10;
  const auto extra = static_cast<uint64_t>(static_cast<unsigned __int128>(*part) * factor / ten);
  return checked_add(*bytes, extra);
}

}  // namespace platter
