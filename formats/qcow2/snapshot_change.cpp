// The new state is put together beside the old one while the disk is used: L2 tables whose COPIED
// flags come to differ are copied, refcount blocks that come to differ likewise, and both copies
// follow all that happens to the live ones. Then, with nothing else going on, the L1 table, the
// refcount table and the snapshot table are written where nothing was; and when all of that is
// durable one write inside the first sector, to the neighbouring fields that name the three and the
// disk's size, makes the image the new one. A crash before or after it leaks the clusters of the
// one or the other set, and no COPIED flag ever disagrees with its refcount.
//
// A snapshot's own tables may have any flags: specification, "L1 table".
#include "formats/qcow2/snapshot_change.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "formats/qcow2/header_fields.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kL1Part = 8192;               // entries looked at as one
constexpr uint64_t kMaxWaitingTables = 4 * MiB;  // of new tables, in memory
constexpr uint64_t kMaxName = 255;               // what QEMU keeps of one

}  // namespace

SnapshotEdit::SnapshotEdit(const SnapshotHost& host, const SnapshotRequest& request)
    : host_(host),
      request_(request),
      cluster_bits_(host.header.cluster_bits),
      disk_size_(host.disk_size) {}

Result<std::unique_ptr<SnapshotChange>> SnapshotEdit::start(const SnapshotHost& host,
                                                            const SnapshotRequest& request) {
  std::unique_ptr<SnapshotEdit> edit(new SnapshotEdit(host, request));
  TRY(edit->check());
  edit->follow();
  return std::unique_ptr<SnapshotChange>(std::move(edit));
}

Result<void> SnapshotEdit::check() const {
  if (host_.header.external_data) {
    return Error(Errc::unsupported, "its data is in another file: it has no snapshots");
  }
  if (request_.what == What::create) return check_create();
  if (request_.id == 0 || request_.id > host_.snapshots.size() || named().removed) {
    return Error(Errc::not_found, "there is no such snapshot");
  }
  if (request_.what == What::rename) return check_name();
  if (named().problem.empty()) return {};
  return Error(Errc::corrupt,
               fmt::format("snapshot \"{}\": {}", named().info.name, named().problem));
}

Result<void> SnapshotEdit::check_create() const {
  if (host_.header.refcount_order == 0) {
    return Error(Errc::unsupported, "refcounts of one bit leave no room for snapshots");
  }
  if (host_.header.snapshots >= kMaxSnapshots) {
    return Error(Errc::no_space, fmt::format("snapshot table: has {} already", kMaxSnapshots));
  }
  return check_name();
}

Result<void> SnapshotEdit::check_name() const {
  const std::string& name = request_.name;
  if (name.empty() || name.size() > kMaxName || name.find('\0') != std::string::npos) {
    return Error(
        Errc::invalid,
        fmt::format("a snapshot's name has 1 to {} bytes and no zero among them", kMaxName));
  }
  for (const Snapshot& other : host_.snapshots) {
    if (other.removed || other.info.name != name || other.info.id == request_.id) continue;
    return Error(Errc::invalid, fmt::format("there is a snapshot \"{}\" already", name), EEXIST);
  }
  return {};
}

void SnapshotEdit::follow() {
  if (request_.what == What::rename) return;
  host_.allocator.start_new_counts();
  const auto purpose =
      request_.what == What::remove ? NewTables::For::remove : NewTables::For::create;
  tables_ = std::make_unique<NewTables>(LiveTables{.file = host_.file,
                                                   .shape = host_.shape,
                                                   .l1 = host_.l1,
                                                   .l2 = host_.l2,
                                                   .allocator = host_.allocator,
                                                   .clean = host_.clean},
                                        purpose);
  if (request_.what != What::apply) host_.following.store(tables_.get());
}

SnapshotEdit::~SnapshotEdit() {
  host_.following.store(nullptr);
  if (tables_ != nullptr && !finished_) host_.allocator.end_new_counts();
  if (host_.not_sure) return;
  if (!finished_) {
    give_back();
    return;
  }
  for (const NewCounts::Replaced& block : replaced_) {
    drop({block.before, host_.header.cluster_size()});
  }
}

void SnapshotEdit::give_back() {
  for (const auto& [first, count] : taken_) host_.allocator.give_back(first, count);
  if (tables_ == nullptr) return;
  for (const uint64_t offset : tables_->copies()) {
    host_.allocator.give_back(offset >> cluster_bits_);
  }
}

// A table of so many bytes gets its place: the offset.
Result<uint64_t> SnapshotEdit::take_bytes(uint64_t bytes) {
  const uint64_t count = div_up(bytes, host_.header.cluster_size());
  const uint64_t first = TRY(host_.allocator.take(count));
  taken_.emplace_back(first, count);
  return first << cluster_bits_;
}

// To take a place may change another block.
Result<void> SnapshotEdit::place_counts() {
  const auto without = [&] {
    return host_.allocator.with_new_counts(
        [](NewCounts& counts) { return counts.without_place(); });
  };
  for (uint64_t missing = without(); missing != 0; missing = without()) {
    std::vector<uint64_t> places;
    while (places.size() < missing) {
      places.push_back(TRY(host_.allocator.take()));
      taken_.emplace_back(places.back(), 1);
    }
    host_.allocator.with_new_counts([&](NewCounts& counts) { counts.place(places); });
  }
  return {};
}

Result<void> SnapshotEdit::keep_memory_low() {
  if (tables_->waiting() > kMaxWaitingTables) TRY(tables_->write_out());
  const auto in_memory = [](NewCounts& counts) { return counts.in_memory(); };
  if (host_.allocator.with_new_counts(in_memory) <= 2 * kMaxWaitingTables) return {};
  TRY(place_counts());
  return write_counts(kMaxWaitingTables);
}

// No lock of the allocator's is held over the writes.
Result<void> SnapshotEdit::write_counts(uint64_t keep) {
  const NewCounts::Pages pages =
      host_.allocator.with_new_counts([](NewCounts& counts) { return counts.take_changed(); });
  for (const auto& page : pages) TRY(host_.file->write(page.offset, page.bytes));
  host_.allocator.with_new_counts([=](NewCounts& counts) { counts.trim(keep); });
  return {};
}

// The entries of the table from first on, some thousand at most.
Result<std::vector<be64>> SnapshotEdit::l1_of(const Table& table, uint64_t first) const {
  std::vector<be64> part(std::min(kL1Part, table.entries - first));
  TRY_IN("L1 table", host_.file->read_exact(table.offset + first * sizeof(be64),
                                            std::as_writable_bytes(std::span(part))));
  return part;
}

Result<void> SnapshotEdit::count_l1(const Table& table, int delta) {
  const uint64_t clusters = div_up(table.entries * sizeof(be64), host_.header.cluster_size());
  return host_.allocator.with_new_counts([&](NewCounts& counts) {
    return counts.add(table.offset >> cluster_bits_, clusters, delta);
  });
}

// A state of the disk goes. Its L1 table is in the file as it is.
Result<void> SnapshotEdit::lower_state(const Table& table) {
  std::vector<be64> part;
  for (uint64_t done = 0; done < table.entries; done += part.size()) {
    part = TRY(l1_of(table, done));
    for (const be64& entry : part) {
      if ((entry & kOffsetMask) == 0) continue;
      TRY(tables_->count(entry & kOffsetMask, -1));
      TRY(keep_memory_low());
    }
  }
  return count_l1(table, -1);
}

Result<void> SnapshotEdit::make_tables() {
  for (uint64_t i = 0; i < tables_->entries(); ++i) {
    TRY(tables_->make(i));
    TRY(keep_memory_low());
  }
  return {};
}

// A machine's state that is kept behind the disk stays the snapshot's.
Result<void> SnapshotEdit::make_tables_of_snapshot() {
  const Table& table = named().l1;
  tables_->resize(table.entries);
  const uint64_t needed = div_up(named().info.size, host_.shape.table_span());
  std::vector<be64> part;
  for (uint64_t done = 0; done < needed; done += part.size()) {
    part = TRY(l1_of(table, done));
    for (uint64_t i = 0; i < part.size() && done + i < needed; ++i) {
      if ((part[i] & kOffsetMask) == 0) continue;
      TRY(tables_->make_from(done + i, part[i] & kOffsetMask));
      TRY(keep_memory_low());
    }
  }
  return {};
}

Result<void> SnapshotEdit::prepare() {
  if (tables_ == nullptr || request_.what == What::apply) return {};
  if (request_.what == What::remove) TRY(lower_state(named().l1));
  TRY(make_tables());
  TRY(place_counts());
  TRY(tables_->write_out());
  return write_counts(2 * kMaxWaitingTables);
}

Result<std::vector<TableEntry>> SnapshotEdit::new_table() {
  host_.header.file_size = TRY(host_.file->stat()).size;
  const SnapshotTable old = TRY(read_snapshot_table(*host_.file, host_.header));
  if (!old.fault.empty()) return Error(Errc::corrupt, old.fault);
  old_snapshot_table_ = old.place();
  // The entries of the file are those that were not removed, in the order of their ids.
  std::vector<TableEntry> entries;
  auto next = old.places.begin();
  for (const Snapshot& snapshot : host_.snapshots) {
    if (snapshot.removed) continue;
    const Range entry = *next++;
    const bool meant = snapshot.info.id == request_.id;
    if (meant && request_.what == What::remove) continue;
    if (meant && request_.what == What::rename) {
      entries.push_back(TRY(renamed_entry(*host_.file, entry, request_.name)));
    } else {
      entries.push_back({.from = entry});
    }
  }
  if (request_.what == What::create) {
    NewEntry made = new_snapshot_entry(
        {.name = request_.name, .disk_size = disk_size_, .l1 = old_l1_}, host_.snapshots);
    made_ = std::move(made.snapshot);
    entries.push_back({.bytes = std::move(made.bytes)});
  }
  return entries;
}

// Taking them may add refcount blocks, and make the refcount table grow.
Result<void> SnapshotEdit::take_places(const std::vector<TableEntry>& entries) {
  const uint64_t bytes = TRY(table_bytes(entries));
  if (bytes != 0) snapshot_table_ = {TRY(take_bytes(bytes)), bytes};
  if (tables_ == nullptr) return {};
  const uint64_t l1_entries = tables_->l1().size();
  if (l1_entries != 0) l1_ = {TRY(take_bytes(l1_entries * sizeof(be64))), l1_entries};
  for (;;) {
    old_counts_ = host_.refcounts.where();
    counts_ = {TRY(take_bytes(old_counts_.entries * sizeof(be64))), old_counts_.entries};
    TRY(place_counts());
    if (host_.refcounts.where().entries == old_counts_.entries) return {};
    // It is too short by now.
    host_.allocator.give_back(taken_.back().first, taken_.back().second);
    taken_.pop_back();
  }
}

Result<void> SnapshotEdit::write(const std::vector<TableEntry>& entries) {
  TRY(write_snapshot_table(*host_.file, snapshot_table_.offset, entries));
  if (tables_ == nullptr) return {};
  TRY(host_.file->write(l1_.offset, std::as_bytes(std::span(tables_->l1()))));
  TRY(tables_->write_out());
  TRY(write_counts(0));
  const auto take = [&](NewCounts& counts) -> Result<std::vector<be64>> {
    if (counts.fault()) return Error(*counts.fault());
    replaced_ = counts.replaced();
    return counts.table_entries();
  };
  const std::vector<be64> table = TRY(host_.allocator.with_new_counts(take));
  return host_.file->write(counts_.offset, std::as_bytes(std::span(table)));
}

Result<void> SnapshotEdit::write_header() {
  const auto count = host_.header.snapshots + (request_.what == What::create ? 1U : 0U) -
                     (request_.what == What::remove ? 1U : 0U);
  host_.not_sure = true;
  if (tables_ == nullptr) {
    TRY(write_snapshots_place(*host_.file, snapshot_table_.offset, count));
  } else {
    TRY(write_state_places(*host_.file,
                           {.disk_size = disk_size_,
                            .l1 = l1_,
                            .refcount_table = counts_,
                            .snapshots_offset = snapshot_table_.offset,
                            .snapshots = count},
                           host_.header));
  }
  TRY(host_.file->sync());
  host_.not_sure = false;
  host_.header.snapshots = count;
  return {};
}

Result<void> SnapshotEdit::finish() {
  old_l1_ = host_.l1.where();
  if (request_.what == What::apply) {
    disk_size_ = named().info.size;
    TRY(host_.order.flush());
    TRY(lower_state(old_l1_));
    TRY(make_tables_of_snapshot());
  } else if (request_.what == What::remove) {
    TRY(count_l1(old_l1_, -1));
  }
  if (tables_ != nullptr) {
    if (std::optional<Error> fault = tables_->fault()) return *std::move(fault);
  }
  const std::vector<TableEntry> entries = TRY(new_table());
  TRY(take_places(entries));
  TRY(write(entries));
  // With what memory has of the old state, and guest bytes, all of that becomes durable.
  TRY(host_.order.flush());
  TRY(write_header());
  settle();
  return {};
}

// The header does not lead there any more.
void SnapshotEdit::drop(const Range& range) {
  host_.metadata.remove(range);
  if (range.empty()) return;
  for (uint64_t c = range.offset >> cluster_bits_; c <= (range.end() - 1) >> cluster_bits_; ++c) {
    host_.allocator.dropped(c);
  }
}

// In memory, what the header now says.
void SnapshotEdit::settle() {
  finished_ = true;
  drop(old_snapshot_table_);
  host_.metadata.add(snapshot_table_, MetadataMap::Kind::snapshot_table);
  host_.header.snapshots_offset = snapshot_table_.offset;
  if (tables_ != nullptr) settle_tables();
  settle_snapshots();
  host_.disk_size = disk_size_;
}

void SnapshotEdit::settle_tables() {
  using Kind = MetadataMap::Kind;
  host_.following.store(nullptr);
  host_.allocator.end_new_counts();
  drop(old_counts_.place());
  host_.metadata.remove(old_l1_.place());
  host_.metadata.remove(Kind::l2_table);
  if (request_.what == What::create) {
    host_.metadata.add(old_l1_.place(), Kind::snapshot_l1_table);
  } else if (request_.what == What::remove) {
    host_.metadata.remove(named().l1.place());
  }
  host_.metadata.add(l1_.place(), Kind::l1_table);
  host_.metadata.add(counts_.place(), Kind::refcount_table);
  for (const NewCounts::Replaced& block : replaced_) {
    host_.metadata.add({block.now, host_.header.cluster_size()}, Kind::refcount_block);
  }
  for (const be64& entry : tables_->l1()) {
    if ((entry & kOffsetMask) == 0) continue;
    host_.metadata.add({entry & kOffsetMask, host_.header.cluster_size()}, Kind::l2_table);
  }
  // What was read of these places before has nothing to do with what is there now.
  host_.clean->forget(*host_.file);
  host_.refcounts.use(counts_);
  host_.l1.moved(l1_);
}

void SnapshotEdit::settle_snapshots() {
  if (request_.what == What::create) host_.snapshots.push_back(made_);
  if (request_.what == What::rename) host_.snapshots[request_.id - 1].info.name = request_.name;
  if (request_.what == What::remove) host_.snapshots[request_.id - 1].removed = true;
}

Result<void> SnapshotEdit::clean_up() {
  if (!finished_) return {};
  std::vector<std::byte> former(host_.header.cluster_size());
  while (!replaced_.empty()) {
    const NewCounts::Replaced block = replaced_.back();
    if (request_.what != What::create) {
      TRY(host_.file->read_padded(block.before, former));
      const Allocator::Batch freed =
          host_.allocator.hold_freed(block.index * host_.refcounts.per_block(), former);
      host_.allocator.punch(freed);
      host_.allocator.now_free(freed);
    }
    drop({block.before, host_.header.cluster_size()});
    replaced_.pop_back();
  }
  return {};
}

}  // namespace platter::qcow2
