// LastUnits: what lies last in a file, of the clusters that are pointed at.
#pragma once

#include <vector>

#include "lib/base/range.h"

namespace platter::qcow2 {

// Clusters that stay side by side: one, those of a table, those that streams go on through.
struct Unit {
  uint64_t first = 0, last = 0;
  bool is_disk = false;  // of PointerTo
  bool stays = false;    // it is two things at once

  uint64_t count() const { return last - first + 1; }
};

// Of all that is added, in any order, it keeps the most units that lie last, about 48 bytes each.
// Not thread safe.
class LastUnits {
 public:
  // from: what begins before that cluster does not matter. most: at least 1.
  LastUnits(uint64_t from, size_t most) : from_(from), most_(most) {}

  // Those that share a cluster become one.
  void add(const Unit& unit);
  // The last one first. Those that may go on where nothing is kept are left out.
  std::vector<Unit> take();

 private:
  void merge();
  void left_out(const Unit& unit) { reach_ = std::max(reach_, unit.last + 1); }

  uint64_t from_;
  uint64_t reach_ = 0;  // what was left out ends in front of this one
  const size_t most_;
  std::vector<Unit> units_;
};

}  // namespace platter::qcow2
