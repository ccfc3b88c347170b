// A grain has no place, is zero, or has one. A write to one without a place takes blocks of the
// file, fills them, and then points the entries of both tables at them. A discard points the
// entries at zeroes or nothing, and the block is free once no request reads it any more. Blocks
// that a crash leaked are free from the start: all tables are looked through before the first
// change.
//
// On disk: guest bytes, one sync, grain tables, one sync, and the directories when they have a new
// table, one sync. A crash between them leaks blocks, and may leave entries in one of two tables
// that are meant to be the same: the mark in the header (uncleanShutdown) says so. It is durable
// before the first change and goes when the extent is closed with nothing waiting.
#include "formats/vmdk/sparse_changes.h"

#include <fmt/format.h>

#include "formats/vmdk/grain_repair.h"

namespace platter::vmdk {
namespace {

// Table pages that may wait in memory: a flush is due before a crash could cost more.
constexpr uint64_t kMaxWaiting = 4 * MiB;

}  // namespace

SparseChanges::SparseChanges(FilePtr file, const SparseHeader& header,
                             std::shared_ptr<PageCache> clean, GrainTables& tables,
                             std::atomic<uint64_t>& data_end, Epochs& epochs)
    : file_(std::move(file)),
      clean_(std::move(clean)),
      header_(header),
      layout_(header.layout),
      tables_(tables),
      data_end_(data_end),
      space_(file_, layout_.grain, epochs),
      counts_(file_, {}, clean_),
      order_({file_}, file_, {&counts_, &tables.entries(), &tables.directories()}) {}

SparseChanges::~SparseChanges() {
  const bool waiting =
      tables_.entries().dirty_bytes() != 0 || tables_.directories().dirty_bytes() != 0;
  // What is not durable of it says no less than before.
  if (marked_ && !keep_mark_ && !waiting) (void)clear_unclean(*file_);
}

Result<void> SparseChanges::begin() {
  const MutexLock once(begin_);
  if (begun_) return {};
  GrainScan scan = TRY(sound_scan(*file_, header_));
  if (scan.mended) clean_->forget(*file_);
  if (scan.unaligned != 0) {
    return Error(
        Errc::unsupported,
        fmt::format("{} grains are not aligned to their size: it is only read", scan.unaligned));
  }
  // The last grain may be short; from here on it is whole.
  const uint64_t whole = scan.used.size() * layout_.grain;
  if (TRY(file_->stat()).size < whole) TRY(file_->resize(whole));
  data_reaches(whole);
  space_.start(std::move(scan.used));
  // Whoever left the mark has left nothing else.
  marked_ = layout_.unclean;
  begun_ = true;
  return {};
}

Result<void> SparseChanges::mark() {
  if (marked_) return {};
  const MutexLock lock(mark_);
  if (marked_) return {};
  TRY(mark_unclean(*file_));
  marked_ = true;
  return {};
}

void SparseChanges::data_reaches(uint64_t end) {
  uint64_t known = data_end_.load();
  while (known < end && !data_end_.compare_exchange_weak(known, end)) {
  }
}

Result<SparseChanges::Tables> SparseChanges::find_tables(uint64_t index) const {
  Tables found{.table = TRY(tables_.table(index, data_end_)).offset};
  if (found.table != 0 && layout_.redundant != 0) {
    found.redundant = TRY(tables_.redundant_table(index, data_end_));
  }
  return found;
}

Result<SparseChanges::Tables> SparseChanges::own_tables(uint64_t grain) {
  const uint64_t index = grain / layout_.table_entries;
  const Tables found = TRY(find_tables(index));
  if (found.table != 0) return found;
  const MutexLock lock(make_table_);
  const Tables now = TRY(find_tables(index));
  if (now.table != 0) return now;
  return make_tables(index);
}

Result<SparseChanges::Tables> SparseChanges::make_tables(uint64_t index) {
  const uint64_t bytes = align_up(layout_.table_bytes(), kSector);
  const bool both = layout_.redundant != 0;
  const auto taken = TRY(space_.append(div_up(both ? 2 * bytes : bytes, layout_.grain)));
  const Tables made{.table = taken.first * layout_.grain + (both ? bytes : 0),
                    .redundant = both ? taken.first * layout_.grain : 0};
  const std::vector<std::byte> empty(bytes);
  const uint64_t at = index * sizeof(le32);
  if (both) {
    tables_.entries().replace(made.redundant, empty);
    TRY(tables_.directories().store(layout_.redundant + at,
                                    le32(static_cast<uint32_t>(made.redundant / kSector))));
  }
  tables_.entries().replace(made.table, empty);
  data_reaches(made.table + bytes);
  TRY(tables_.directories().store(layout_.directory + at,
                                  le32(static_cast<uint32_t>(made.table / kSector))));
  return made;
}

Result<uint64_t> SparseChanges::new_grains(uint64_t table, uint64_t grain, uint64_t most) const {
  uint64_t count = 1;
  for (; count < most; ++count) {
    const uint64_t at = table + (grain + count) % layout_.table_entries * sizeof(le32);
    const uint32_t entry = TRY(tables_.entry(at));
    if (layout_.kind_of(entry) == GrainLayout::Entry::grain) break;
  }
  return count;
}

Result<Reservation> SparseChanges::reserve(const Range& want) {
  TRY(mark());
  const uint64_t grain = want.offset / layout_.grain;
  const Tables tables = TRY(own_tables(grain));
  uint64_t count = 1;
  if (want.offset % layout_.grain == 0) {
    const uint64_t most = std::min(want.length / layout_.grain, in_sector(grain));
    count = TRY(new_grains(tables.table, grain, most));
  }
  const auto taken = TRY(space_.take(count));
  return Reservation{.covers = {grain * layout_.grain, taken.count * layout_.grain},
                     .file = file_.get(),
                     .host = taken.first * layout_.grain,
                     .zeroed = taken.zeroed};
}

Result<void> SparseChanges::store(const Tables& tables, uint64_t grain,
                                  std::span<const le32> entries) {
  const uint64_t at = grain % layout_.table_entries * sizeof(le32);
  if (tables.redundant == 0) {
    return tables_.entries().store(tables.table + at, std::as_bytes(entries));
  }
  std::vector<le32> before(entries.size());
  TRY(tables_.entries().read(tables.redundant + at, std::as_writable_bytes(std::span(before))));
  TRY(tables_.entries().store(tables.redundant + at, std::as_bytes(entries)));
  Result<void> done = tables_.entries().store(tables.table + at, std::as_bytes(entries));
  // The sector is in memory now: this does not fail.
  if (!done) (void)tables_.entries().store(tables.redundant + at, std::as_bytes(std::span(before)));
  return done;
}

Result<void> SparseChanges::publish(const Reservation& r) {
  const uint64_t grain = r.covers.offset / layout_.grain;
  std::vector<le32> entries;
  for (uint64_t at = 0; at < r.covers.length; at += layout_.grain) {
    entries.emplace_back(static_cast<uint32_t>((r.host + at) / kSector));
  }
  // The last block is in the file as far as it was written; a flush makes it whole.
  data_reaches(r.host + r.covers.length);
  return store(TRY(find_tables(grain / layout_.table_entries)), grain, entries);
}

void SparseChanges::abandon(const Reservation& r) noexcept {
  space_.give_back(r.host / layout_.grain, r.covers.length / layout_.grain);
}

Result<void> SparseChanges::drop(uint64_t grain, uint64_t count, uint32_t entry, uint64_t host) {
  TRY(mark());
  const Tables tables = TRY(own_tables(grain));
  TRY(store(tables, grain, std::vector<le32>(count, le32(entry))));
  if (host != 0) space_.dropped(host / layout_.grain, count);
  return {};
}

Result<void> SparseChanges::flush(bool wrote_data) {
  const GrainSpace::Batch dropped = space_.take_dropped();
  const uint64_t waiting = tables_.entries().dirty_bytes() + tables_.directories().dirty_bytes();
  if (wrote_data || waiting != 0) {
    Result<void> done = order_.flush();
    if (!done) {
      space_.put_back(dropped);
      return done;
    }
  }
  space_.drop_is_durable(dropped);
  space_.release();
  return {};
}

bool SparseChanges::wants_flush() const {
  return tables_.entries().dirty_bytes() + tables_.directories().dirty_bytes() > kMaxWaiting ||
         space_.many_dropped();
}

}  // namespace platter::vmdk
