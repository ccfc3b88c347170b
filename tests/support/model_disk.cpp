#include "tests/support/model_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace platter::test {

ModelDisk::ModelDisk(std::vector<std::byte> initial) : now_(std::move(initial)), durable_(now_) {}

void ModelDisk::write(const Range& range, std::byte value) {
  std::ranges::fill(std::span(now_).subspan(range.offset, range.length), value);
  unflushed_.push_back({.range = range, .value = value});
}

void ModelDisk::flushed() {
  for (const auto& [range, value] : unflushed_) {
    std::ranges::copy(std::span(now_).subspan(range.offset, range.length),
                      durable_.begin() + static_cast<std::ptrdiff_t>(range.offset));
  }
  unflushed_.clear();
}

bool ModelDisk::is_possible(uint64_t at, std::byte value) const {
  return value == durable_[at] || std::ranges::any_of(unflushed_, [&](const Write& write) {
           return write.value == value && write.range.contains(at);
         });
}

std::optional<std::string> ModelDisk::impossible(Bytes after_crash) const {
  // Nearly all of the disk is as it is now: memcmp() passes over that much faster than a loop.
  constexpr uint64_t block = 512;
  for (uint64_t begin = 0; begin < now_.size(); begin += block) {
    const uint64_t end = std::min<uint64_t>(begin + block, now_.size());
    if (std::memcmp(&now_[begin], &after_crash[begin], end - begin) == 0) continue;
    for (uint64_t at = begin; at < end; ++at) {
      if (after_crash[at] == now_[at] || is_possible(at, after_crash[at])) continue;
      return fmt::format("byte {} is {}, which it cannot be (now {})", at,
                         std::to_integer<unsigned>(after_crash[at]),
                         std::to_integer<unsigned>(now_[at]));
    }
  }
  return std::nullopt;
}

}  // namespace platter::test
