// walk: the extents of a range of a view, neighbours of one run merged.
#pragma once

#include <optional>

#include "lib/container/view.h"

namespace platter {

// Calls visit(const View::Mapped&) -> Result<bool> for each merged extent of range in ascending
// order, until it answers false or the range ends.
template <class Visit>
Result<void> walk(const View& view, Range range, Visit&& visit) {
  std::optional<View::Mapped> run;
  while (!range.empty()) {
    const View::Mapped next = TRY(view.map(range));
    range = {next.extent.guest.end(), range.length - next.extent.guest.length};
    if (run && run->depth == next.depth && run->extent.continues_with(next.extent)) {
      run->extent.guest.length += next.extent.guest.length;
      continue;
    }
    if (run && !TRY(visit(*run))) return {};
    run = next;
  }
  if (run) (void)TRY(visit(*run));
  return {};
}

// Reads as zeroes without a look at any byte.
inline bool is_hole(const Extent& extent) {
  return extent.kind == Extent::Kind::absent || extent.kind == Extent::Kind::zero;
}

}  // namespace platter
