// The snapshot takes over the L1 and L2 tables as they are. The live disk gets copies of them, in
// which no entry has its COPIED flag; refcounts that are one higher for all that both states share
// go to a new table with new blocks; and the snapshot table is written anew with one entry more.
// All of that lies where nothing was. When it is durable one write inside the first sector, to the
// neighbouring fields that name the L1 table, the refcount table and the snapshot table, makes the
// image the new one. A crash before or after it leaks the clusters of the one or the other set, and
// no COPIED flag ever disagrees with its refcount.
//
// The flags that stay behind in the snapshot's tables mean nothing there: specification, "L1
// table".
#include "formats/qcow2/snapshot_write.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>

#include <fmt/format.h>

#include "formats/qcow2/header_fields.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kL1Part = 8192;         // entries looked at as one
constexpr uint64_t kMaxWaiting = 4 * MiB;  // of new tables, in memory
constexpr uint64_t kMaxName = 255;         // what QEMU keeps of one

// Nobody points at these tables yet: they may be written in any order.
Result<void> write_out(platter::Table& table) {
  const platter::Table::Pages pages = table.take_dirty();
  Result<void> done = table.write(pages);
  if (done) {
    table.written(pages);
  } else {
    table.put_back(pages);
  }
  return done;
}

uint64_t block_at(uint64_t refcount_table_entry) { return refcount_table_entry & ~(kSector - 1); }

Range bytes_of(const Table& table) { return {table.offset, table.entries * sizeof(be64)}; }

std::string next_id(const std::vector<Snapshot>& snapshots) {
  uint64_t largest = 0;
  for (const Snapshot& snapshot : snapshots) {
    const std::string& id = snapshot.info.format_id;
    uint64_t number = 0;
    const auto [end, fault] = std::from_chars(id.data(), id.data() + id.size(), number);
    const bool whole = fault == std::errc() && end == id.data() + id.size();
    if (whole && number < ~uint64_t{0}) largest = std::max(largest, number);
  }
  return std::to_string(largest + 1);
}

class Maker {
 public:
  Maker(const SnapshotHost& host, std::string_view name)
      : host_(host),
        header_(host.header),
        cluster_bits_(header_.cluster_bits),
        name_(name),
        old_l1_(host.l1.where()),
        l2_(host.file, {0, kMaxHostOffset}, host.clean,
            std::min(header_.cluster_size(), PageCache::kPageSize)),
        counts_(host.file, header_, host.clean) {}

  Result<Snapshot> run(bool& not_sure);

 private:
  Result<void> check() const;
  Result<uint64_t> take_bytes(uint64_t bytes);
  // The entries of l1 from first on, some thousand at most.
  Result<std::vector<be64>> l1_part(const Table& l1, uint64_t first) const;
  Result<std::vector<be64>> read_l2(uint64_t l1_entry) const;
  L2Entry entry_of(const std::vector<be64>& l2, size_t i) const;

  Result<void> copy_tables();
  Result<uint64_t> copy_l2(uint64_t l1_entry);
  Result<std::vector<std::byte>> new_entry();
  Result<void> write_snapshot_table();
  Result<void> take_for_refcounts();
  Result<void> take_blocks();
  Result<void> copy_refcounts();
  Result<void> raise_refcounts();
  Result<void> raise_l2(uint64_t l1_entry);
  Result<void> raise(const L2Entry& entry);
  void give_back();
  void settle();
  void drop(const Range& range);
  void add(const std::vector<uint64_t>& clusters, MetadataMap::Kind kind);

  const SnapshotHost& host_;
  Header& header_;
  const uint32_t cluster_bits_;
  const std::string_view name_;
  const Table old_l1_;
  PageTable l2_;                                // the new L2 tables
  Refcounts counts_;                            // the new ones
  std::vector<uint64_t> l2_clusters_, blocks_;  // by their numbers
  // The other clusters that were taken: the first, and how many.
  std::vector<std::pair<uint64_t, uint64_t>> taken_;
  Table l1_, refcount_table_;
  Range snapshot_table_;              // bytes; as long as its entries are
  Range old_snapshot_table_;          // likewise
  std::vector<uint64_t> old_blocks_;  // offsets as the table has them; 0: none
  Snapshot snapshot_;
};

Result<void> Maker::check() const {
  if (header_.external_data) {
    return Error(Errc::unsupported, "its data is in another file: no snapshot can be taken of it");
  }
  if (header_.refcount_order == 0) {
    return Error(Errc::unsupported, "refcounts of one bit leave no room for snapshots");
  }
  if (header_.snapshots >= kMaxSnapshots) {
    return Error(Errc::no_space, fmt::format("snapshot table: has {} already", kMaxSnapshots));
  }
  if (name_.empty() || name_.size() > kMaxName || name_.find('\0') != std::string_view::npos) {
    return Error(
        Errc::invalid,
        fmt::format("a snapshot's name has 1 to {} bytes and no zero among them", kMaxName));
  }
  for (const Snapshot& other : host_.snapshots) {
    if (other.info.name != name_) continue;
    return Error(Errc::invalid, fmt::format("there is a snapshot \"{}\" already", name_), EEXIST);
  }
  return {};
}

// A table of so many bytes gets its place: the offset.
Result<uint64_t> Maker::take_bytes(uint64_t bytes) {
  const uint64_t count = div_up(bytes, header_.cluster_size());
  const uint64_t first = TRY(host_.allocator.take(count));
  taken_.emplace_back(first, count);
  return first << cluster_bits_;
}

void Maker::give_back() {
  for (const auto& [first, count] : taken_) host_.allocator.give_back(first, count);
  for (const uint64_t cluster : l2_clusters_) host_.allocator.give_back(cluster);
  for (const uint64_t cluster : blocks_) host_.allocator.give_back(cluster);
}

Result<std::vector<be64>> Maker::l1_part(const Table& l1, uint64_t first) const {
  std::vector<be64> part(std::min(kL1Part, l1.entries - first));
  TRY_IN("L1 table", host_.file->read_exact(l1.offset + first * sizeof(be64),
                                            std::as_writable_bytes(std::span(part))));
  return part;
}

Result<std::vector<be64>> Maker::read_l2(uint64_t l1_entry) const {
  std::vector<be64> l2(header_.cluster_size() / sizeof(be64));
  TRY_IN("L2 table",
         host_.file->read_exact(l1_entry & kOffsetMask, std::as_writable_bytes(std::span(l2))));
  return l2;
}

L2Entry Maker::entry_of(const std::vector<be64>& l2, size_t i) const {
  if (!host_.shape.extended) return {.word = l2[i]};
  return {.word = l2[2 * i], .bitmap = l2[2 * i + 1]};
}

// Gives the entry that stands for the copy.
Result<uint64_t> Maker::copy_l2(uint64_t l1_entry) {
  std::vector<be64> l2 = TRY(read_l2(l1_entry));
  const size_t step = host_.shape.extended ? 2 : 1;
  for (size_t i = 0; i < l2.size(); i += step) {
    if ((l2[i] & kCompressed) == 0) l2[i] = l2[i] & ~kCopied;
  }
  l2_clusters_.push_back(TRY(host_.allocator.take()));
  const uint64_t offset = l2_clusters_.back() << cluster_bits_;
  l2_.replace(offset, std::as_bytes(std::span(l2)));
  if (l2_.dirty_bytes() > kMaxWaiting) TRY(write_out(l2_));
  return offset | kCopied;
}

Result<void> Maker::copy_tables() {
  if (old_l1_.entries == 0) return {};
  l1_ = {TRY(take_bytes(old_l1_.entries * sizeof(be64))), old_l1_.entries};
  std::vector<be64> part;
  for (uint64_t done = 0; done < l1_.entries; done += part.size()) {
    part = TRY(l1_part(old_l1_, done));
    for (be64& entry : part) {
      if ((entry & kOffsetMask) != 0) entry = TRY(copy_l2(entry));
    }
    TRY(host_.file->write(l1_.offset + done * sizeof(be64), std::as_bytes(std::span(part))));
  }
  return write_out(l2_);
}

Result<std::vector<std::byte>> Maker::new_entry() {
  using namespace std::chrono;
  const auto now = system_clock::now().time_since_epoch();
  const auto seconds = duration_cast<std::chrono::seconds>(now);
  const auto rest = duration_cast<nanoseconds>(now - seconds);
  const std::string id = next_id(host_.snapshots);
  RawSnapshot raw;
  raw.l1_table_offset = old_l1_.offset;
  raw.l1_size = static_cast<uint32_t>(old_l1_.entries);
  raw.id_size = static_cast<uint16_t>(id.size());
  raw.name_size = static_cast<uint16_t>(name_.size());
  raw.date_sec = static_cast<uint32_t>(seconds.count());
  raw.date_nsec = static_cast<uint32_t>(rest.count());
  raw.extra_data_size = sizeof(RawSnapshotExtra);
  // No instruction counter: all ones.
  const RawSnapshotExtra extra{uint64_t{0}, host_.disk_size, ~uint64_t{0}};
  std::vector<std::byte> out;
  const auto append = [&](Bytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); };
  append(as_bytes_of(raw));
  append(as_bytes_of(extra));
  append(std::as_bytes(std::span(id)));
  append(std::as_bytes(std::span(name_)));
  out.resize(align_up(out.size(), 8));
  snapshot_ = {.info = {.id = host_.snapshots.size() + 1,
                        .format_id = id,
                        .name = std::string(name_),
                        .size = host_.disk_size,
                        .created_ns = duration_cast<nanoseconds>(now).count()},
               .l1 = old_l1_};
  return out;
}

// The entries there are keep their bytes, whatever they hold.
Result<void> Maker::write_snapshot_table() {
  const std::vector<std::byte> entry = TRY(new_entry());
  const SnapshotTable old = TRY(read_snapshot_table(*host_.file, header_));
  if (!old.fault.empty()) return Error(Errc::corrupt, old.fault);
  old_snapshot_table_ = {header_.snapshots_offset, old.bytes};
  const uint64_t before = align_up(old_snapshot_table_.length, 8);
  if (before + entry.size() > kMaxSnapshotTableBytes) {
    return Error(Errc::no_space, "snapshot table: is full");
  }
  const uint64_t offset = TRY(take_bytes(before + entry.size()));
  std::vector<std::byte> part(std::min(before, MiB));
  for (uint64_t done = 0; done < before; done += part.size()) {
    part.resize(std::min<uint64_t>(part.size(), before - done));
    TRY(host_.file->read_padded(old_snapshot_table_.offset + done, part));
    TRY(host_.file->write(offset + done, part));
  }
  snapshot_table_ = {offset, before + entry.size()};
  return host_.file->write(offset + before, entry);
}

// A place for each block and for the table. Taking them may add blocks, and make the table grow.
Result<void> Maker::take_for_refcounts() {
  for (;;) {
    const Table old = host_.refcounts.where();
    refcount_table_ = {TRY(take_bytes(old.entries * sizeof(be64))), old.entries};
    TRY(take_blocks());
    if (host_.refcounts.where().entries == old.entries) return {};
    // It is too short by now.
    host_.allocator.give_back(taken_.back().first, taken_.back().second);
    taken_.pop_back();
  }
}

Result<void> Maker::take_blocks() {
  for (;;) {
    old_blocks_.clear();
    const std::vector<be64> entries = TRY(host_.refcounts.entries());
    for (const be64& entry : entries) old_blocks_.push_back(block_at(entry));
    const auto missing = std::count(old_blocks_.begin(), old_blocks_.end(), uint64_t{0});
    const uint64_t wanted = old_blocks_.size() - static_cast<uint64_t>(missing);
    if (wanted <= blocks_.size()) return {};
    while (blocks_.size() < wanted) blocks_.push_back(TRY(host_.allocator.take()));
  }
}

// What the old ones have, with all that was taken counted in it.
Result<void> Maker::copy_refcounts() {
  std::vector<be64> entries(old_blocks_.size());
  std::vector<std::byte> block(header_.cluster_size());
  auto place = blocks_.begin();
  for (size_t i = 0; i < entries.size(); ++i) {
    if (old_blocks_[i] == 0) continue;
    TRY(host_.file->read_padded(old_blocks_[i], block));
    entries[i] = *place++ << cluster_bits_;
    counts_.put_block(entries[i], block);
    if (counts_.dirty_bytes() > kMaxWaiting) TRY(write_out(counts_.blocks()));
  }
  counts_.move(refcount_table_, entries);
  TRY(write_out(counts_.blocks()));
  return write_out(counts_.table());
}

// What the entry holds is held by the other copy of its table as well.
Result<void> Maker::raise(const L2Entry& entry) {
  const Range held = held_by(host_.shape, entry);
  if (held.empty()) return {};
  if ((entry.word & kCompressed) == 0 && held.offset % header_.cluster_size() != 0) {
    return Error(Errc::corrupt, fmt::format("L2 table: a cluster at {:#x} unaligned", held.offset));
  }
  for (uint64_t c = held.offset >> cluster_bits_; c <= (held.end() - 1) >> cluster_bits_; ++c) {
    const uint64_t count = TRY(counts_.get(c));
    if (count == 0) {
      return Error(Errc::corrupt,
                   fmt::format("refcounts: cluster {} is in use and is not counted", c));
    }
    if (count == counts_.max()) {
      return Error(Errc::unsupported,
                   fmt::format("refcounts: cluster {} is used {} times, and its refcount has no "
                               "room for more",
                               c, count));
    }
    TRY(counts_.set(c, count + 1));
  }
  return {};
}

Result<void> Maker::raise_refcounts() {
  std::vector<be64> part;
  for (uint64_t done = 0; done < l1_.entries; done += part.size()) {
    part = TRY(l1_part(l1_, done));
    for (const be64& entry : part) {
      if ((entry & kOffsetMask) != 0) TRY(raise_l2(entry));
    }
  }
  return write_out(counts_.blocks());
}

Result<void> Maker::raise_l2(uint64_t l1_entry) {
  const std::vector<be64> l2 = TRY(read_l2(l1_entry));
  const size_t entries = l2.size() / (host_.shape.extended ? 2 : 1);
  for (size_t i = 0; i < entries; ++i) {
    TRY(raise(entry_of(l2, i)));
    if (counts_.dirty_bytes() > kMaxWaiting) TRY(write_out(counts_.blocks()));
  }
  return {};
}

// The header does not lead there any more.
void Maker::drop(const Range& range) {
  host_.metadata.remove(range);
  if (range.empty()) return;
  for (uint64_t c = range.offset >> cluster_bits_; c <= (range.end() - 1) >> cluster_bits_; ++c) {
    host_.allocator.dropped(c);
  }
}

// In memory, what the header now says.
void Maker::settle() {
  using Kind = MetadataMap::Kind;
  const Table& counts = host_.refcounts.where();
  drop(bytes_of(counts));
  drop(old_snapshot_table_);
  for (const uint64_t offset : old_blocks_) {
    if (offset != 0) drop({offset, header_.cluster_size()});
  }
  host_.metadata.remove(bytes_of(old_l1_));
  host_.metadata.remove(Kind::l2_table);

  host_.metadata.add(bytes_of(old_l1_), Kind::snapshot_l1_table);
  host_.metadata.add(bytes_of(l1_), Kind::l1_table);
  host_.metadata.add(bytes_of(refcount_table_), Kind::refcount_table);
  host_.metadata.add(snapshot_table_, Kind::snapshot_table);
  add(blocks_, Kind::refcount_block);
  add(l2_clusters_, Kind::l2_table);
  // With small clusters a cached page of a neighbour has the table as it once was.
  const Range pages = align_out(bytes_of(old_l1_), PageCache::kPageSize);
  for (uint64_t at = pages.offset; at < pages.end(); at += PageCache::kPageSize) {
    host_.clean->forget(*host_.file, at);
  }
  host_.refcounts.use(refcount_table_);
  host_.l1.moved(l1_);
  header_.snapshots_offset = snapshot_table_.offset;
  ++header_.snapshots;
}

void Maker::add(const std::vector<uint64_t>& clusters, MetadataMap::Kind kind) {
  for (const uint64_t cluster : clusters) {
    host_.metadata.add({cluster << cluster_bits_, header_.cluster_size()}, kind);
  }
}

Result<Snapshot> Maker::run(bool& not_sure) {
  TRY(check());
  header_.file_size = TRY(host_.file->stat()).size;
  const auto compose = [&]() -> Result<void> {
    TRY(copy_tables());
    TRY(write_snapshot_table());
    TRY(take_for_refcounts());
    TRY(host_.order.flush());  // the file has what memory has, the new counts among it
    TRY(copy_refcounts());
    TRY(raise_refcounts());
    return host_.file->sync();
  };
  if (Result<void> done = compose(); !done) {
    give_back();
    return std::move(done.error());
  }
  not_sure = true;
  TRY(write_state_places(*host_.file,
                         {.l1 = l1_,
                          .refcount_table = refcount_table_,
                          .snapshots_offset = snapshot_table_.offset,
                          .snapshots = header_.snapshots + 1},
                         header_));
  TRY(host_.file->sync());
  not_sure = false;
  settle();
  return std::move(snapshot_);
}

}  // namespace

Result<Snapshot> create_snapshot(const SnapshotHost& host, std::string_view name, bool& not_sure) {
  return Maker(host, name).run(not_sure);
}

}  // namespace platter::qcow2
