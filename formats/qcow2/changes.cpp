// A write to a cluster that is not the image's alone (nothing there, zeroes, compressed, shared
// with a snapshot) takes a free cluster and counts it, fills it, and then points the L2 entry at
// it. What the entry pointed at before loses a reference when that is durable.
//
// On disk: guest bytes and refcount blocks, one sync, the refcount table when it has a new block,
// one sync, L2 tables, one sync, and the L1 table when it has a new L2 table, one sync. A crash
// between them leaks clusters. The file's dirty bit is never needed that way, lazy refcounts or
// not.
#include "formats/qcow2/changes.h"

#include <fmt/format.h>

#include "formats/qcow2/bitmaps.h"
#include "formats/qcow2/header_fields.h"
#include "formats/qcow2/snapshot_change.h"
#include "lib/base/checked.h"
#include "lib/base/log.h"

namespace platter::qcow2 {
namespace {

// Table pages that may wait in memory: a flush is due before a crash could cost more.
constexpr uint64_t kMaxWaiting = 4 * MiB;

// Reservation::cookie: whether the cluster was taken for it.
constexpr uint64_t kOwn = 0;
constexpr uint64_t kFresh = 1;

}  // namespace

Changes::Changes(Files files, const Header& header, std::vector<Snapshot>& snapshots,
                 const std::shared_ptr<PageCache>& tables, L1Table& l1, PageTable& l2,
                 Epochs& epochs)
    : files_(std::move(files)),
      header_(header),
      tables_(tables),
      snapshots_(snapshots),
      shape_{.cluster_bits = header.cluster_bits,
             .version = header.version,
             .extended = header.extended_l2,
             .external_data = header.external_data},
      l1_(l1),
      l2_(l2),
      refcounts_(files_.image, header, tables),
      order_({files_.data}, files_.image, {&refcounts_.blocks(), &refcounts_.table(), &l2, &l1}),
      metadata_(header.cluster_bits),
      allocator_(files_.image, header, refcounts_, order_, metadata_, epochs),
      disk_size_(header.size) {}

Result<void> Changes::check_supported(const Header& header) {
  if (header.nothing_left)
    return Error(Errc::unsupported, "its tables are missing: it is only read");
  if (header.corrupt) return Error(Errc::unsupported, "is marked as corrupt: it is only read");
  return {};
}

Result<void> Changes::begin() {
  const MutexLock lock(begin_);
  if (begun_) return {};
  begin_failed_ = true;
  TRY(begin_once());
  begin_failed_ = false;
  begun_ = true;
  return {};
}

Result<void> Changes::begin_once() {
  TRY(MetadataMap::scan(*files_.image, header_, snapshots_, metadata_));
  // The last cluster may be short; from here on it is whole.
  const uint64_t size = TRY(files_.image->stat()).size;
  const uint64_t whole = align_up(size, header_.cluster_size());
  if (size < whole) TRY(files_.image->resize(whole));
  data_reaches(TRY(files_.data->stat()).size);
  TRY(invalidate_bitmaps(*files_.image, header_));
  return files_.image->sync();
}

Result<void> Changes::expect_sound() const {
  if (damaged_) return Error(Errc::corrupt, "is damaged: no more is written to it");
  return {};
}

Error Changes::damaged(Error error) {
  if (error.code() == Errc::corrupt && !damaged_.exchange(true)) {
    log::error("{}", error.message());
    Result<void> marked = mark_corrupt(*files_.image, header_.version);
    if (!marked) log::error("{}", marked.error().message());
  }
  return error;
}

void Changes::data_reaches(uint64_t end) {
  uint64_t known = data_end_.load();
  while (known < end && !data_end_.compare_exchange_weak(known, end)) {
  }
}

bool Changes::may_overwrite(const Range& host) const {
  if (damaged_) return false;
  return shape_.external_data || !metadata_.find(host);
}

Changes::Place Changes::place_of(uint64_t guest) const {
  const uint64_t cluster = guest >> shape_.cluster_bits;
  return {.l1_index = cluster >> shape_.table_bits(),
          .l2_index = cluster & ((uint64_t{1} << shape_.table_bits()) - 1),
          .cluster = cluster << shape_.cluster_bits};
}

Result<L2Entry> Changes::entry_at(uint64_t l2_offset, uint64_t l2_index) const {
  const uint64_t at = l2_offset + (l2_index << shape_.entry_bits());
  if (!shape_.extended) return L2Entry{.word = TRY(l2_.read<be64>(at))};
  const auto raw = TRY(l2_.read<RawExtendedL2>(at));
  return L2Entry{.word = raw.word, .bitmap = raw.bitmap};
}

Result<void> Changes::store_entry(uint64_t l2_offset, const Place& place, const L2Entry& entry) {
  return store_entries(l2_offset, place, {&entry, 1});
}

Result<void> Changes::store_entries(uint64_t l2_offset, const Place& place,
                                    std::span<const L2Entry> entries) {
  const std::vector<std::byte> raw = raw_entries(shape_, entries);
  const uint64_t at = l2_offset + (place.l2_index << shape_.entry_bits());
  const auto store = [&] { return l2_.store(at, Bytes(raw)); };
  NewTables* const following = following_.load();
  if (following == nullptr) return store();
  return following->change_l2(place.l1_index, place.l2_index, entries, store);
}

Result<uint64_t> Changes::own_l2(uint64_t l1_index) {
  const auto owned = [](uint64_t entry) {
    return (entry & kCopied) != 0 && (entry & kOffsetMask) != 0;
  };
  uint64_t entry = TRY(l1_.entry(l1_index));
  if (owned(entry)) return entry & kOffsetMask;
  const MutexLock lock(make_l2_);
  entry = TRY(l1_.entry(l1_index));
  if (owned(entry)) return entry & kOffsetMask;
  return make_l2(l1_index, entry & kOffsetMask);
}

// The clusters an L2 table points at are counted once for each state of the disk that reaches them
// by any table: a copy of the table changes none of their counts.
Result<uint64_t> Changes::make_l2(uint64_t l1_index, uint64_t old) {
  std::vector<std::byte> table(shape_.cluster_size());
  if (old != 0) TRY_IN("L2 table", l2_.read(old, MutableBytes(table)));
  const uint64_t cluster = TRY(allocator_.take());
  const Range host{cluster << shape_.cluster_bits, shape_.cluster_size()};
  metadata_.add(host, MetadataMap::Kind::l2_table);
  l2_.replace(host.offset, table);
  const auto store = [&] { return l1_.store(l1_index, host.offset | kCopied); };
  NewTables* const following = following_.load();
  TRY(following == nullptr ? store() : following->change_l1(l1_index, old, host.offset, store));
  if (old != 0) {
    metadata_.remove({old, shape_.cluster_size()});
    allocator_.dropped(old >> shape_.cluster_bits);
  }
  return host.offset;
}

Result<uint64_t> Changes::new_clusters(uint64_t l2_offset, const Place& place,
                                       const Range& want) const {
  if (want.offset != place.cluster) return uint64_t{1};
  const uint64_t in_unit = l2_.unit() >> shape_.entry_bits();
  const uint64_t most =
      std::min(want.length >> shape_.cluster_bits, in_unit - place.l2_index % in_unit);
  uint64_t count = 1;
  while (count < most && !owns_cluster(shape_, TRY(entry_at(l2_offset, place.l2_index + count)))) {
    ++count;
  }
  return count;
}

Result<Changes::Target> Changes::target_of(const L2Entry& old, const Place& place,
                                           uint64_t clusters) {
  if (shape_.external_data) return Target{.host = place.cluster, .clusters = clusters};
  if (owns_cluster(shape_, old)) {
    const uint64_t host = old.word & kOffsetMask;
    if (!metadata_.find({host, shape_.cluster_size()})) return Target{.host = host};
    return Error(Errc::corrupt, fmt::format("L2 table: an entry points at a table ({:#x})", host));
  }
  const Allocator::Run run = TRY(allocator_.take_run(clusters));
  return Target{run.first << shape_.cluster_bits, run.count, true, run.zeroed};
}

Result<Reservation> Changes::reserve(const Range& want) {
  TRY(expect_sound());
  const Place place = place_of(want.offset);
  Result<uint64_t> l2 = own_l2(place.l1_index);
  if (!l2) return damaged(std::move(l2.error()));
  const L2Entry old = TRY(entry_at(*l2, place.l2_index));
  const Range in_cluster = intersect(want, {place.cluster, shape_.cluster_size()});
  Range unit = unit_to_write(shape_, old, {in_cluster.offset - place.cluster, in_cluster.length});
  Result<Target> target = target_of(old, place, TRY(new_clusters(*l2, place, want)));
  if (!target) return damaged(std::move(target.error()));
  unit.length += (target->clusters - 1) << shape_.cluster_bits;
  return Reservation{
      .covers = {place.cluster + unit.offset, unit.length},
      .file = files_.data.get(),
      .host = target->host + unit.offset,
      .cookie = target->fresh ? kFresh : kOwn,
      .zeroed = target->zeroed,
      .cipher = files_.cipher.cipher.get(),
      .tweak = files_.cipher.tweak(place.cluster + unit.offset, target->host + unit.offset)};
}

Result<void> Changes::publish(const Reservation& r) {
  const Place place = place_of(r.covers.offset);
  const uint64_t l2 = TRY(l1_.entry(place.l1_index)) & kOffsetMask;
  std::vector<L2Entry> old, now;
  Range part = intersect(r.covers, {place.cluster, shape_.cluster_size()});
  for (uint64_t i = 0; !part.empty(); ++i) {
    old.push_back(TRY(entry_at(l2, place.l2_index + i)));
    const Range written{part.offset % shape_.cluster_size(), part.length};
    const uint64_t cluster = r.host + (part.offset - r.covers.offset) - written.offset;
    now.push_back(after_write(shape_, old.back(), cluster, written));
    part = intersect(r.covers, {part.end(), shape_.cluster_size()});
  }
  data_reaches(r.host + r.covers.length);
  TRY(store_entries(l2, place, now));
  if (r.cookie != kFresh) return {};
  for (const L2Entry& entry : old) drop(entry);
  return {};
}

void Changes::abandon(const Reservation& r) noexcept {
  if (r.cookie != kFresh) return;
  const uint64_t first = r.host >> shape_.cluster_bits;
  allocator_.give_back(first, div_up(r.host + r.covers.length, shape_.cluster_size()) - first);
}

void Changes::drop(const L2Entry& entry) {
  const Range held = held_by(shape_, entry);
  if (held.empty()) return;
  for (uint64_t c = held.offset >> shape_.cluster_bits;
       c <= (held.end() - 1) >> shape_.cluster_bits; ++c) {
    allocator_.dropped(c);
  }
}

// Gives how much of part, from its start, is zero now; none: its bytes have to be written.
Result<uint64_t> Changes::zero_in_cluster(uint64_t l2_offset, const Place& place, const Range& part,
                                          File::Zero how) {
  const L2Entry old = TRY(entry_at(l2_offset, place.l2_index));
  Range zeroed = unit_to_zero(shape_, old, {part.offset - place.cluster, part.length});
  if (zeroed.empty()) return uint64_t{0};
  const Allocation found = decode(shape_, old, zeroed.offset);
  if (found.kind == Allocation::Kind::invalid) {
    return Error(Errc::corrupt, fmt::format("L2 entry {} {}", place.l2_index, found.problem));
  }
  zeroed.length = std::min(zeroed.length, found.length);
  const bool encrypted = files_.cipher.cipher != nullptr;
  if (shape_.external_data && found.kind == Allocation::Kind::data && !encrypted) {
    // Its place in the data file is the cluster's for good: only the bytes can go.
    if (TRY(files_.data->make_zero({found.host, zeroed.length}, how))) return zeroed.length;
  }
  // A raw data file has to show the zeroes alone.
  if (header_.data_file_raw) return uint64_t{0};
  // Version 2 can only say that nothing is there.
  const bool can_keep = shape_.version != 2;
  if (!can_keep && (!header_.backing_file.empty() || how == File::Zero::keep_space)) {
    return uint64_t{0};
  }
  const L2Entry now = after_zero(shape_, old, zeroed, how);
  if (now == old) return zeroed.length;
  TRY(store_entry(l2_offset, place, now));
  if (held_by(shape_, now).empty()) drop(old);
  return zeroed.length;
}

Result<Range> Changes::make_zero(const Range& want, File::Zero how) {
  TRY(expect_sound());
  const uint64_t table_end = align_down(want.offset, shape_.table_span()) + shape_.table_span();
  const uint64_t end = std::min(want.end(), table_end);
  uint64_t at = want.offset;
  while (at < end) {
    const Place place = place_of(at);
    Result<uint64_t> l2 = own_l2(place.l1_index);
    if (!l2) return damaged(std::move(l2.error()));
    // Behind the end of the disk there is nothing to keep.
    const uint64_t cluster_end = place.cluster + shape_.cluster_size();
    const uint64_t stop = end == disk_size_ ? cluster_end : std::min(end, cluster_end);
    const uint64_t done = TRY(zero_in_cluster(*l2, place, {at, stop - at}, how));
    if (done == 0) break;
    at += done;
  }
  return Range{want.offset, std::min(at, end) - want.offset};
}

Result<void> Changes::flush(bool wrote_data) {
  const Allocator::Batch dropped = allocator_.take_dropped();
  const uint64_t dirty = refcounts_.dirty_bytes() + l2_.dirty_bytes() + l1_.dirty_bytes();
  if (wrote_data || dirty != 0 || begin_failed_) {
    Result<void> done = order_.flush();
    if (!done) {
      allocator_.put_back(dropped);
      return done;
    }
  }
  allocator_.drops_are_durable(dropped);
  const Allocator::Batch free = allocator_.end_quarantine();
  allocator_.punch(free);
  allocator_.now_free(free);
  // Lower counts may come at any time after the drops.
  return dropped.empty() ? Result<void>() : order_.write_first();
}

Result<std::unique_ptr<SnapshotChange>> Changes::change_snapshots(const SnapshotRequest& request) {
  TRY(expect_sound());
  TRY(begin());
  return SnapshotEdit::start({.file = files_.image,
                              .header = header_,
                              .snapshots = snapshots_,
                              .disk_size = disk_size_,
                              .shape = shape_,
                              .l1 = l1_,
                              .l2 = l2_,
                              .refcounts = refcounts_,
                              .order = order_,
                              .metadata = metadata_,
                              .allocator = allocator_,
                              .clean = tables_,
                              .following = following_,
                              .not_sure = damaged_},
                             request);
}

bool Changes::wants_flush() const {
  return refcounts_.dirty_bytes() + l2_.dirty_bytes() + l1_.dirty_bytes() > kMaxWaiting ||
         allocator_.many_dropped();
}

}  // namespace platter::qcow2
