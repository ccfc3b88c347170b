// Clusters and tables are taken at the end of the file, always: nothing in a qcow says what of it
// is free. A write to a cluster that has no place, or is compressed, takes one, fills it, and then
// points the L2 entry at it; the compressed bytes stay where they are, unused. A cluster that has a
// place keeps it for good: zeroes and discards are made of its bytes.
//
// On disk: guest bytes, one sync, L2 tables, one sync, and the L1 table when it has a new L2 table,
// one sync. A crash between them leaks what was appended.
//
// An entry that points behind the end of the file would share what is appended there later, and one
// that points at a table would let guest bytes into it. So the L1 table is looked through before
// the first change, and each L2 table before the first change to what it maps.
#include "formats/qcow/changes.h"

#include <fmt/format.h>

#include "formats/qcow/l2.h"
#include "lib/base/checked.h"

namespace platter::qcow {
namespace {

// Table pages that may wait in memory: a flush is due before a crash could cost more.
constexpr uint64_t kMaxWaiting = 4 * MiB;

}  // namespace

Changes::Changes(FilePtr file, const Header& header, const std::shared_ptr<PageCache>& tables,
                 PageTable& l1, PageTable& l2)
    : file_(std::move(file)),
      header_(header),
      l1_(l1),
      l2_(l2),
      counts_(file_, {}, tables),
      order_({file_}, file_, {&counts_, &l2, &l1}) {}

Result<void> Changes::begin() {
  const MutexLock lock(begin_);
  if (begun_) return {};
  Tables tables = TRY(find_tables(*file_, header_));
  TRY(tables.expect_sound());
  // The last cluster, or table, may be short; from here on it is whole.
  const uint64_t size = TRY(file_->stat()).size;
  const uint64_t whole = align_up(std::max(size, tables.end(header_)), header_.cluster_size());
  if (size < whole) TRY(file_->resize(whole));
  at_begin_ = std::move(tables);
  first_end_ = whole;
  {
    const MutexLock end(mutex_);
    end_ = whole;
  }
  data_reaches(whole);
  begun_ = true;
  return {};
}

void Changes::data_reaches(uint64_t end) {
  uint64_t known = data_end_.load();
  while (known < end && !data_end_.compare_exchange_weak(known, end)) {
  }
}

Changes::Place Changes::place_of(uint64_t guest) const {
  const uint64_t cluster = guest >> header_.cluster_bits;
  return {.l1_index = cluster >> header_.l2_bits,
          .l2_index = cluster & (header_.table_entries() - 1),
          .cluster = cluster << header_.cluster_bits};
}

Result<uint64_t> Changes::table_at(uint64_t l1_index) const {
  return uint64_t{TRY(l1_.read<be64>(header_.l1_offset + l1_index * sizeof(be64)))};
}

Result<Changes::Taken> Changes::take(uint64_t clusters) {
  const MutexLock lock(mutex_);
  if (clusters == 1 && !abandoned_.empty()) {
    const uint64_t host = abandoned_.back();
    abandoned_.pop_back();
    return Taken{host};
  }
  const uint64_t bytes = clusters << header_.cluster_bits;
  if (!fits(end_, bytes, kMaxOffset)) {
    return Error(Errc::no_space, "the file cannot become any longer");
  }
  const uint64_t host = end_;
  end_ += bytes;
  // A file that cannot be made longer says why when it is written to.
  return Taken{host, bool{file_->resize(end_)}};
}

Result<uint64_t> Changes::own_l2(uint64_t l1_index) {
  uint64_t table = TRY(table_at(l1_index));
  if (table == 0) {
    const MutexLock lock(make_l2_);
    table = TRY(table_at(l1_index));
    if (table == 0) return make_l2(l1_index);
  }
  TRY(expect_sound(l1_index, table));
  return table;
}

Result<uint64_t> Changes::make_l2(uint64_t l1_index) {
  const uint64_t bytes = header_.table_bytes();
  const uint64_t host = TRY(take(div_up(bytes, header_.cluster_size()))).host;
  l2_.replace(host, std::vector<std::byte>(bytes));
  data_reaches(host + bytes);
  {
    const WriteLock lock(known_);
    sound_[l1_index] = true;
  }
  TRY(l1_.store(header_.l1_offset + l1_index * sizeof(be64), be64(host)));
  return host;
}

Result<void> Changes::expect_sound(uint64_t l1_index, uint64_t table) {
  const auto verdict = [&](bool sound) -> Result<void> {
    if (sound) return {};
    return Error(Errc::corrupt,
                 fmt::format("L1 table entry {}: its L2 table points outside the file or over "
                             "tables: repair it before changing it",
                             l1_index));
  };
  {
    const ReadLock lock(known_);
    const auto known = sound_.find(l1_index);
    if (known != sound_.end()) return verdict(known->second);
  }
  const Result<void> found = look_through(l1_index, table);
  if (!found && found.error().code() != Errc::corrupt) return found;
  const WriteLock lock(known_);
  return verdict(sound_.emplace(l1_index, found.has_value()).first->second);
}

Result<void> Changes::look_through(uint64_t l1_index, uint64_t table) const {
  for (uint64_t at = 0; at < header_.table_bytes(); at += kSector) {
    const PageCache::PagePtr page = TRY(l2_.page(table + at));
    const size_t in_page = (table + at) % PageCache::kPageSize;
    for (size_t i = in_page; i < in_page + kSector && i + sizeof(be64) <= page->valid;
         i += sizeof(be64)) {
      const Cluster cluster = decode(header_, load<be64>(Bytes(page->bytes), i));
      if (cluster.kind == Cluster::Kind::absent) continue;
      if (cluster.kind == Cluster::Kind::invalid || cluster.host.end() > first_end_ ||
          header_.holds_any_of(cluster.host) || at_begin_.hold_any_of(header_, cluster.host)) {
        return Error(Errc::corrupt, fmt::format("L1 table entry {}", l1_index));
      }
    }
  }
  return {};
}

bool Changes::may_overwrite(uint64_t l1_index) {
  if (!begun_) return false;
  {
    const ReadLock lock(known_);
    const auto known = sound_.find(l1_index);
    if (known != sound_.end()) return known->second;
  }
  const Result<uint64_t> table = table_at(l1_index);
  return table && expect_sound(l1_index, *table);
}

Result<uint64_t> Changes::new_clusters(uint64_t table, const Place& place,
                                       const Range& want) const {
  if (want.offset != place.cluster) return uint64_t{1};
  constexpr uint64_t kInUnit = kSector / sizeof(be64);
  const uint64_t most =
      std::min(want.length >> header_.cluster_bits, kInUnit - place.l2_index % kInUnit);
  uint64_t count = 1;
  for (; count < most; ++count) {
    const uint64_t at = table + (place.l2_index + count) * sizeof(be64);
    if (decode(header_, TRY(l2_.read<be64>(at))).kind == Cluster::Kind::data) break;
  }
  return count;
}

Result<Reservation> Changes::reserve(const Range& want) {
  const Place place = place_of(want.offset);
  const uint64_t table = TRY(own_l2(place.l1_index));
  const uint64_t clusters = TRY(new_clusters(table, place, want));
  const Taken taken = TRY(take(clusters));
  return Reservation{.covers = {place.cluster, clusters << header_.cluster_bits},
                     .file = file_.get(),
                     .host = taken.host,
                     .zeroed = taken.zeroed};
}

Result<void> Changes::publish(const Reservation& r) {
  const Place place = place_of(r.covers.offset);
  std::vector<be64> entries;
  for (uint64_t at = 0; at < r.covers.length; at += header_.cluster_size()) {
    entries.emplace_back(r.host + at);
  }
  data_reaches(r.host + r.covers.length);
  const uint64_t table = TRY(table_at(place.l1_index));
  return l2_.store(table + place.l2_index * sizeof(be64), std::as_bytes(std::span(entries)));
}

void Changes::abandon(const Reservation& r) noexcept {
  const MutexLock lock(mutex_);
  for (uint64_t at = 0; at < r.covers.length; at += header_.cluster_size()) {
    abandoned_.push_back(r.host + at);
  }
}

Result<void> Changes::drop(uint64_t guest) {
  const Place place = place_of(guest);
  const uint64_t table = TRY(own_l2(place.l1_index));
  return l2_.store(table + place.l2_index * sizeof(be64), be64(0));
}

Result<void> Changes::flush(bool wrote_data) {
  if (!wrote_data && l1_.dirty_bytes() == 0 && l2_.dirty_bytes() == 0) return {};
  return order_.flush();
}

bool Changes::wants_flush() const { return l1_.dirty_bytes() + l2_.dirty_bytes() > kMaxWaiting; }

}  // namespace platter::qcow
