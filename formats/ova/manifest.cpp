#include "formats/ova/manifest.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter::ova {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Empty: no hexadecimal number of whole bytes.
std::vector<std::byte> bytes_from_hex(std::string_view text) {
  std::vector<std::byte> out;
  if (text.size() % 2 != 0) return out;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return {};
    out.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return out;
}

Result<ListedDigest> parse_line(std::string_view line, size_t number) {
  const auto broken = [number](Errc code, std::string_view what) {
    return Error(code, fmt::format("manifest: line {}: {}", number, what));
  };
  // The name may have brackets of its own.
  const size_t open = line.find('('), close = line.rfind(')');
  if (open == line.npos || close == line.npos || close < open) {
    return broken(Errc::corrupt, "is no digest of a member");
  }
  const std::string_view rest = trimmed(line.substr(close + 1));
  if (!rest.starts_with('=')) return broken(Errc::corrupt, "is no digest of a member");
  std::string name;
  for (const char c : trimmed(line.substr(0, open))) {
    if (c != '-') name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  const auto hash = find_hash(name);
  if (!hash) {
    return broken(Errc::unsupported, fmt::format("the hash \"{}\" is not known", printable(name)));
  }
  ListedDigest digest{.member = std::string(trimmed(line.substr(open + 1, close - open - 1))),
                      .hash = *hash,
                      .value = bytes_from_hex(trimmed(rest.substr(1)))};
  if (digest.value.size() == digest_size(*hash)) return digest;
  return broken(Errc::corrupt, fmt::format("no digest of {}", name));
}

}  // namespace

Result<std::vector<ListedDigest>> parse_manifest(std::string_view text) {
  std::vector<ListedDigest> digests;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty()) digests.push_back(TRY(parse_line(line, number)));
  }
  return digests;
}

}  // namespace platter::ova
