// MetadataMap: which clusters of the file hold tables, so that guest bytes never go over them.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>

#include "formats/qcow2/parse.h"
#include "formats/qcow2/snapshot_table.h"
#include "lib/base/sync.h"

namespace platter::qcow2 {

// Thread safe.
class MetadataMap {
 public:
  enum class Kind : unsigned char {
    header,
    l1_table,
    l2_table,
    refcount_table,
    refcount_block,
    snapshot_table,
    snapshot_l1_table,
    bitmap_directory,
    encryption_header,
  };

  explicit MetadataMap(uint32_t cluster_bits) : cluster_bits_(cluster_bits) {}

  // Fills map with everything the header, the L1 table and the refcount table point at, and only
  // that. Errc::corrupt when two of
  // them share a cluster, or one lies outside the file.
  static Result<void> scan(const File& file, const Header& header,
                           const std::vector<Snapshot>& snapshots, MetadataMap& map);

  // range: bytes of the file. False: something is there already.
  bool add(const Range& range, Kind kind);
  void remove(const Range& range);
  void remove(Kind kind);  // all of them
  void clear();
  // What lies in the range; none: no table.
  std::optional<Kind> find(const Range& range) const;

  static std::string_view name(Kind kind);

 private:
  const uint32_t cluster_bits_;
  mutable SharedMutex mutex_;
  std::unordered_map<uint64_t, Kind> clusters_ GUARDED_BY(mutex_);
};

}  // namespace platter::qcow2
