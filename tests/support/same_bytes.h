// Comparisons of disks. vector's own takes one std::byte at a time, and the suites do this at every
// state they come to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace platter::test {

inline bool same(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

inline bool same(const std::vector<std::vector<std::byte>>& a,
                 const std::vector<std::vector<std::byte>>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return same(x, y); });
}

template <class First, class Second>
bool same(const std::pair<First, Second>& a, const std::pair<First, Second>& b) {
  return same(a.first, b.first) && same(a.second, b.second);
}

}  // namespace platter::test
