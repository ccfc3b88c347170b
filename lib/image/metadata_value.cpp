#include "lib/image/metadata_value.h"

#include <charconv>

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter {

Result<Uuid> uuid_value(std::string_view key, const std::string& value) {
  if (value == "random") return Uuid::random();
  const auto uuid = Uuid::parse(value);
  if (uuid) return *uuid;
  return Error(Errc::invalid, fmt::format("{}={}: not a UUID", key, printable(value)));
}

std::optional<Geometry> parse_chs(std::string_view text) {
  uint32_t numbers[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    const auto [end, error] = std::from_chars(text.begin(), text.end(), numbers[i]);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.begin()));
    if (i == 2) break;
    if (!text.starts_with('/')) return std::nullopt;
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return Geometry{numbers[0], numbers[1], numbers[2]};
}

}  // namespace platter
