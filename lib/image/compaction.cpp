#include "lib/image/compaction.h"

namespace platter {

Result<void> Compaction::go_on() const {
  if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
  return {};
}

Result<void> Compaction::looked_at(uint64_t bytes) {
  TRY(go_on());
  looked_at_ = std::min(bytes_, looked_at_ + bytes);
  advance(looked_at_);
  return {};
}

uint64_t Compaction::share_of(uint64_t bytes, size_t part, size_t whole) {
  if (part >= whole) return bytes;
  return static_cast<uint64_t>(static_cast<double>(bytes) * static_cast<double>(part) /
                               static_cast<double>(whole));
}

}  // namespace platter
