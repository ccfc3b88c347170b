#include "tests/support/model_disk.h"

#include <fmt/format.h>

namespace platter::test {

ModelDisk::ModelDisk(std::vector<std::byte> initial)
    : now_(std::move(initial)), possible_(now_.size()) {
  changed_.push_back({0, now_.size()});
  flushed();
}

void ModelDisk::write(const Range& range, std::byte value) {
  for (uint64_t at = range.offset; at < range.end(); ++at) {
    now_[at] = value;
    possible_[at].set(std::to_integer<size_t>(value));
  }
  changed_.push_back(range);
}

void ModelDisk::flushed() {
  for (const Range& range : changed_) {
    for (uint64_t at = range.offset; at < range.end(); ++at) {
      possible_[at].reset();
      possible_[at].set(std::to_integer<size_t>(now_[at]));
    }
  }
  changed_.clear();
}

std::optional<std::string> ModelDisk::impossible(Bytes after_crash) const {
  for (uint64_t at = 0; at < now_.size(); ++at) {
    const auto value = std::to_integer<size_t>(after_crash[at]);
    if (possible_[at].test(value)) continue;
    return fmt::format("byte {} is {}, which it cannot be (now {})", at, value,
                       std::to_integer<unsigned>(now_[at]));
  }
  return std::nullopt;
}

}  // namespace platter::test
