#include "lib/base/suggest.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

namespace platter {
namespace {

constexpr size_t kLongest = 64;

// Letters added, left out, replaced, or exchanged with their neighbour (optimal string alignment).
size_t distance(std::string_view a, std::string_view b) {
  std::array<std::vector<size_t>, 3> rows;  // of a's last three prefixes
  for (auto& row : rows) row.resize(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    const auto& above = rows[(i - 1) % 3];
    const auto& two_above = rows[(i + 1) % 3];
    auto& row = rows[i % 3];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace

std::string_view closest_name(std::string_view word, std::span<const std::string_view> names) {
  if (word.size() > kLongest) return {};
  std::string_view best;
  size_t least = std::max<size_t>(word.size() / 3, 1) + 1;
  for (const std::string_view name : names) {
    const size_t steps = distance(word, name);
    // Another word of the same length with nothing in common is not what was meant.
    if (steps < least && steps < name.size()) {
      least = steps;
      best = name;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const std::string_view name = closest_name(word, names);
  return name.empty() ? std::string() : fmt::format(" (did you mean {}?)", name);
}

}  // namespace platter
