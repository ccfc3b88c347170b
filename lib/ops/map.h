// Map: where the bytes of a disk are, for people and programs.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "lib/container/view.h"

namespace platter {

// What a map calls an extent: its kind, and whether data is encrypted.
enum class MapKind : unsigned char { data, zero, absent, compressed, encrypted };
inline constexpr std::array kMapKinds = {MapKind::data, MapKind::zero, MapKind::absent,
                                         MapKind::compressed, MapKind::encrypted};
MapKind map_kind(const Extent& extent);
// It lies in a file.
constexpr bool is_stored(MapKind kind) {
  return kind == MapKind::data || kind == MapKind::compressed || kind == MapKind::encrypted;
}
std::string_view kind_name(MapKind kind);

// Counts the runs of bytes that lie in one file one behind the other: 1 for a disk without
// fragmentation. Thread safety: one thread.
class Pieces {
 public:
  // The extents of the disk, one behind the other. True: a piece begins with this one.
  bool add(const Extent& extent);
  uint64_t count() const { return count_; }

 private:
  bool goes_on(const Extent& extent) const;

  uint64_t count_ = 0;
  const File* file_ = nullptr;    // where the last piece lies
  uint64_t start_ = 0, end_ = 0;  // of its last extent
};

// Totals over the extents of a disk. Thread safety: one thread.
class MapSummary {
 public:
  struct Total {
    uint64_t extents = 0;
    uint64_t bytes = 0;  // of the guest
  };

  void add(const View::Mapped& mapped);
  Total all() const;
  Total of(MapKind kind) const;                     // in all layers
  size_t layers() const { return totals_.size(); }  // the deepest with an extent is the last
  // depth < layers().
  const Total& at(size_t depth, MapKind kind) const;

 private:
  using ByKind = std::array<Total, kMapKinds.size()>;
  std::vector<ByKind> totals_;  // by depth
};

}  // namespace platter
