#include "formats/qcow2/repair_entries.h"

#include <algorithm>

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kMapMemory = 40 * MiB;

// Mends what lies in clusters of the map's window.
class Mending {
 public:
  Mending(const CheckedImage& image, const RefcountMap& map)
      : image_(image), map_(map), shape_(shape_of(image.header)) {}

  Result<void> l1(const L1Place& place, uint64_t index, uint64_t& word) const {
    const L1Check entry = check_l1_entry(shape_, word, image_.header.file_size);
    if (entry.mended && alone(place.table.offset + index * sizeof(be64), 1)) word = *entry.mended;
    return {};
  }

  Result<void> l2(const L2Use& use, L2Entries& entries) const {
    if (!alone(use.offset, use.uses)) return {};
    for (uint64_t i = 0; i < entries.size(); ++i) {
      const L2Entry entry = entries[i];
      if (entry.word == 0 && entry.bitmap == 0) continue;
      const uint64_t guest = (use.l1_index << shape_.table_bits() | i) << shape_.cluster_bits;
      const L2Check checked = check_entry(
          shape_, entry,
          {.file_size = image_.header.file_size, .guest = guest, .active = use.active != 0});
      if (checked.mended) entries.set(i, *checked.mended);
    }
    return {};
  }

 private:
  bool alone(uint64_t offset, uint64_t uses) const {
    const uint64_t cluster = offset >> shape_.cluster_bits;
    return cluster >= map_.first() && cluster < map_.last() && map_.count(cluster) == uses;
  }

  const CheckedImage& image_;
  const RefcountMap& map_;
  const L2Shape shape_;
};

// Sets flags of entries that point into the map's window; the map has the stored refcounts.
class Flagging {
 public:
  Flagging(const CheckedImage& image, const RefcountMap& map, StoredRefcounts& stored)
      : image_(image), map_(map), stored_(stored), shape_(shape_of(image.header)) {}

  Result<void> l1(const L1Place& place, uint64_t index, uint64_t& word) {
    const L1Check entry = check_l1_entry(shape_, word, image_.header.file_size);
    const uint64_t wanted = flagged(word, entry.held.offset);
    if (!place.active() || !entry.followed || wanted == word) return {};
    if (TRY(alone(place.table.offset + index * sizeof(be64), 1))) word = wanted;
    return {};
  }

  Result<void> l2(const L2Use& use, L2Entries& entries) {
    for (uint64_t i = 0; i < entries.size(); ++i) {
      const L2Entry entry = entries[i];
      if (entry.word == 0) continue;
      const L2Check checked =
          check_entry(shape_, entry, {.file_size = image_.header.file_size, .active = true});
      if (!checked.flagged) continue;
      const uint64_t wanted = flagged(entry.word, checked.held.offset);
      if (wanted == entry.word) continue;
      // Of tables without a wrong flag nobody need know who else is in them.
      if (!TRY(alone(use.offset, use.uses))) return {};
      entries.set(i, {wanted, entry.bitmap});
    }
    return {};
  }

 private:
  uint64_t flagged(uint64_t word, uint64_t offset) const {
    const uint64_t cluster = offset >> shape_.cluster_bits;
    if (cluster < map_.first() || cluster >= map_.last()) return word;
    return map_.count(cluster) == 1 ? word | kCopied : word & ~kCopied;
  }
  Result<bool> alone(uint64_t offset, uint64_t uses) {
    return TRY(stored_.get(offset >> shape_.cluster_bits)) == uses;
  }

  const CheckedImage& image_;
  const RefcountMap& map_;
  StoredRefcounts& stored_;
  const L2Shape shape_;
};

// The refcounts as they are in the file, as many as there is room for.
Result<void> take_stored(StoredRefcounts& stored, uint64_t end, RefcountMap& map) {
  for (uint64_t i = map.first() / stored.per_block(); i < stored.blocks().size(); ++i) {
    const uint64_t base = i * stored.per_block();
    if (base >= map.last()) break;
    if (stored.blocks()[i] == 0) continue;
    const uint64_t stop = std::min({base + stored.per_block(), map.last(), end});
    for (uint64_t cluster = std::max(base, map.first()); cluster < stop; ++cluster) {
      map.add(cluster, TRY(stored.get(cluster)), Pointer::other);
    }
  }
  return {};
}

}  // namespace

Result<void> mend_entries(File& file, const CheckedImage& image) {
  // The last table may lack the end that its entries are in.
  const uint64_t whole = align_up(image.header.file_size, image.header.cluster_size());
  if (whole != image.header.file_size) TRY(file.resize(whole));
  Census census(file, image);
  const auto mend = [&](RefcountMap& map, StoredRefcounts&) -> Result<void> {
    const Mending mending(image, map);
    // L2 tables are found by L1 entries, so those come last.
    TRY(census.walk().for_each_l2(
        [&](const L2Use& use, L2Entries& entries) { return mending.l2(use, entries); }));
    return census.walk().for_each_l1_entry(
        [&](const L1Place& place, uint64_t index, uint64_t& word) {
          return mending.l1(place, index, word);
        });
  };
  TRY(census.for_each_window(nullptr, mend));
  return file.sync();
}

Result<void> set_copied_flags(File& file, const CheckedImage& image) {
  const Header& header = image.header;
  const uint64_t end = div_up(header.file_size, header.cluster_size()) + 1;
  auto stored = TRY(StoredRefcounts::load(file, header, nullptr));
  TableWalk walk(file, header, image.snapshots.list);
  RefcountMap map(kMapMemory);
  for (uint64_t first = 0; first < end; first = map.last()) {
    map.start(first, end);
    TRY(take_stored(stored, end, map));
    Flagging flagging(image, map, stored);
    TRY(walk.for_each_l2(
        [&](const L2Use& use, L2Entries& entries) { return flagging.l2(use, entries); },
        TableWalk::Of::disk));
    TRY(walk.for_each_l1_entry([&](const L1Place& place, uint64_t index, uint64_t& word) {
      return flagging.l1(place, index, word);
    }));
  }
  return file.sync();
}

}  // namespace platter::qcow2
