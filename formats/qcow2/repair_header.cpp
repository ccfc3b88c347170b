#include "formats/qcow2/repair_header.h"

namespace platter::qcow2 {
namespace {

struct RefcountPlace {
  be64 offset;
  be32 clusters;
};
static_assert(sizeof(RefcountPlace) == 12 && DiskStruct<RefcountPlace>);
static_assert(offsetof(RawHeader, refcount_table_clusters) ==
              offsetof(RawHeader, refcount_table_offset) + sizeof(be64));

struct SnapshotPlace {
  be32 count;
  be64 offset;
};
static_assert(sizeof(SnapshotPlace) == 12 && DiskStruct<SnapshotPlace>);
static_assert(offsetof(RawHeader, snapshots_offset) ==
              offsetof(RawHeader, nb_snapshots) + sizeof(be32));

Result<void> clear_bits(File& file, uint64_t field, uint64_t bits) {
  const uint64_t now = TRY(file.read_struct<be64>(field));
  if ((now & bits) == 0) return {};
  return file.write(field, as_bytes_of(be64(now & ~bits)));
}

}  // namespace

Result<void> write_refcount_place(File& file, const Table& table, uint32_t cluster_bits) {
  const uint64_t clusters = table.entries * sizeof(be64) >> cluster_bits;
  const RefcountPlace place{table.offset, static_cast<uint32_t>(clusters)};
  return file.write(offsetof(RawHeader, refcount_table_offset), as_bytes_of(place));
}

Result<void> write_l1_offset(File& file, const Table& table) {
  return file.write(offsetof(RawHeader, l1_table_offset), as_bytes_of(be64(table.offset)));
}

Result<void> write_snapshot_count(File& file, uint32_t count) {
  constexpr uint64_t kField = offsetof(RawHeader, nb_snapshots);
  auto place = TRY(file.read_struct<SnapshotPlace>(kField));
  place.count = count;
  if (count == 0) place.offset = 0;
  return file.write(kField, as_bytes_of(place));
}

Result<void> clear_incompatible(File& file, uint64_t bits) {
  return clear_bits(file, offsetof(RawHeader, incompatible_features), bits);
}

Result<void> clear_autoclear(File& file, uint64_t bits) {
  return clear_bits(file, offsetof(RawHeader, autoclear_features), bits);
}

}  // namespace platter::qcow2
