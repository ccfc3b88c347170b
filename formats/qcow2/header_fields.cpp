#include "formats/qcow2/header_fields.h"

namespace platter::qcow2 {
namespace {

// Specification, "Header": neighbouring fields, as they stand in it.
struct RefcountTablePlace {
  be64 offset;
  be32 clusters;
};
struct L1TablePlace {
  be32 entries;
  be64 offset;
};
struct SnapshotsPlace {
  be32 count;
  be64 offset;
};
static_assert(sizeof(RefcountTablePlace) == 12 && sizeof(L1TablePlace) == 12);
static_assert(sizeof(SnapshotsPlace) == 12);
struct RawStatePlaces {
  be64 disk_size;
  be32 encryption;
  L1TablePlace l1;
  RefcountTablePlace refcount_table;
  SnapshotsPlace snapshots;
};
static_assert(sizeof(RawStatePlaces) == 48 && offsetof(RawHeader, size) == 24);
static_assert(offsetof(RawHeader, crypt_method) == 32 && offsetof(RawHeader, l1_size) == 36);
static_assert(offsetof(RawHeader, refcount_table_offset) == 48);
static_assert(offsetof(RawHeader, nb_snapshots) == 60);

Result<void> write_word(File& file, uint64_t at, uint64_t value) {
  const be64 raw(value);
  return file.write(at, as_bytes_of(raw));
}

}  // namespace

Result<void> write_refcount_table_place(File& file, const Table& table, const Header& header) {
  const uint64_t clusters = table.entries * sizeof(be64) >> header.cluster_bits;
  const RefcountTablePlace place{table.offset, static_cast<uint32_t>(clusters)};
  return file.write(offsetof(RawHeader, refcount_table_offset), as_bytes_of(place));
}

Result<void> write_l1_place(File& file, const Table& table) {
  const L1TablePlace place{static_cast<uint32_t>(table.entries), table.offset};
  return file.write(offsetof(RawHeader, l1_size), as_bytes_of(place));
}

Result<void> write_disk_size(File& file, uint64_t size) {
  return write_word(file, offsetof(RawHeader, size), size);
}

Result<void> write_snapshots_place(File& file, uint64_t offset, uint32_t count) {
  const SnapshotsPlace place{count, offset};
  return file.write(offsetof(RawHeader, nb_snapshots), as_bytes_of(place));
}

Result<void> write_state_places(File& file, const StatePlaces& places, const Header& header) {
  const Table& counts = places.refcount_table;
  const RawStatePlaces raw{
      places.disk_size,
      TRY(file.read_struct<be32>(offsetof(RawHeader, crypt_method))),
      {static_cast<uint32_t>(places.l1.entries), places.l1.offset},
      {counts.offset, static_cast<uint32_t>(counts.entries * sizeof(be64) >> header.cluster_bits)},
      {places.snapshots, places.snapshots_offset}};
  return file.write(offsetof(RawHeader, size), as_bytes_of(raw));
}

Result<void> write_incompatible(File& file, uint64_t features) {
  return write_word(file, offsetof(RawHeader, incompatible_features), features);
}

Result<void> write_lazy_refcounts(File& file, bool allowed) {
  constexpr uint64_t kField = offsetof(RawHeader, compatible_features);
  const uint64_t others = TRY(file.read_struct<be64>(kField)) & ~kLazyRefcounts;
  return write_word(file, kField, others | (allowed ? kLazyRefcounts : 0));
}

Result<void> write_autoclear(File& file, uint64_t features) {
  return write_word(file, offsetof(RawHeader, autoclear_features), features);
}

Result<void> mark_corrupt(File& file, uint32_t version) {
  if (version == 2) return {};
  const RawHeader raw = TRY(file.read_struct<RawHeader>(0));
  TRY(write_incompatible(file,
                         raw.incompatible_features | static_cast<uint64_t>(Incompatible::corrupt)));
  return file.sync();
}

}  // namespace platter::qcow2
