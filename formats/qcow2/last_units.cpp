#include "formats/qcow2/last_units.h"

#include <algorithm>
#include <utility>

namespace platter::qcow2 {

void LastUnits::add(const Unit& unit) {
  if (unit.first < from_) return left_out(unit);
  units_.push_back(unit);
  if (units_.size() < 2 * most_) return;
  merge();
  if (units_.size() <= most_) return;
  const auto kept = units_.end() - static_cast<ptrdiff_t>(most_);
  left_out(*std::prev(kept));
  from_ = kept->first;
  units_.erase(units_.begin(), kept);
}

void LastUnits::merge() {
  std::ranges::sort(units_, {}, &Unit::first);
  size_t kept = 0;
  for (const Unit& unit : units_) {
    if (kept == 0 || units_[kept - 1].last < unit.first) {
      units_[kept++] = unit;
      continue;
    }
    Unit& before = units_[kept - 1];
    before.last = std::max(before.last, unit.last);
    before.stays = before.stays || unit.stays || before.is_disk != unit.is_disk;
  }
  units_.resize(kept);
}

std::vector<Unit> LastUnits::take() {
  merge();
  std::erase_if(units_, [this](const Unit& unit) { return unit.stays || unit.first < reach_; });
  std::ranges::reverse(units_);
  return std::exchange(units_, {});
}

}  // namespace platter::qcow2
