// Map: where the bytes of a disk are, for people and programs.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "lib/container/view.h"

namespace platter {

// "data", "zero", "absent", "compressed".
std::string_view kind_name(Extent::Kind kind);
inline constexpr std::array kExtentKinds = {Extent::Kind::data, Extent::Kind::zero,
                                            Extent::Kind::absent, Extent::Kind::encoded};

// Totals over the extents of a disk. Thread safety: one thread.
class MapSummary {
 public:
  struct Total {
    uint64_t extents = 0;
    uint64_t bytes = 0;  // of the guest
  };

  void add(const View::Mapped& mapped);
  Total all() const;
  Total of(Extent::Kind kind) const;                // in all layers
  size_t layers() const { return totals_.size(); }  // the deepest with an extent is the last
  // depth < layers().
  const Total& at(size_t depth, Extent::Kind kind) const;

 private:
  using ByKind = std::array<Total, kExtentKinds.size()>;
  std::vector<ByKind> totals_;  // by depth
};

}  // namespace platter
