#include "formats/qcow2/new_tables.h"

#include <fmt/format.h>

namespace platter::qcow2 {
namespace {

constexpr uint64_t kMaxHeld = 4096;  // runs of clusters that are counted at once

bool has_flag(const L2Entry& entry) {
  return (entry.word & kCompressed) == 0 && (entry.word & kOffsetMask) != 0;
}

}  // namespace

NewTables::NewTables(LiveTables live, For purpose)
    : live_(std::move(live)),
      purpose_(purpose),
      l2_(live_.file, {0, kMaxHostOffset}, live_.clean,
          std::min(live_.shape.cluster_size(), PageCache::kPageSize)),
      l1_(live_.l1.entries()),
      states_(live_.l1.entries()) {}

Result<NewTables::Content> NewTables::content_of(uint64_t l2) const {
  const uint64_t size = live_.shape.cluster_size();
  if (l2 % size != 0) return Error(Errc::corrupt, fmt::format("L2 table at {:#x} unaligned", l2));
  Content content(size);
  TRY_IN("L2 table", live_.l2.read(l2, MutableBytes(content)));
  return content;
}

Result<void> NewTables::count_held(Content& content, int delta) {
  const uint32_t bits = live_.shape.cluster_bits;
  std::vector<std::pair<uint64_t, uint64_t>> runs;  // the first cluster, and how many
  const auto count = [&]() -> Result<void> {
    return live_.allocator.with_new_counts([&](NewCounts& counts) -> Result<void> {
      for (const auto& [first, clusters] : runs) TRY(counts.add(first, clusters, delta));
      runs.clear();
      return {};
    });
  };
  const L2Entries entries = entries_of(content);
  for (uint64_t i = 0; i < entries.size(); ++i) {
    const L2Entry entry = entries[i];
    const Range held = held_by(live_.shape, entry);
    if (held.empty()) continue;
    if (has_flag(entry) && held.offset % live_.shape.cluster_size() != 0) {
      return Error(Errc::corrupt,
                   fmt::format("L2 table: a cluster at {:#x} unaligned", held.offset));
    }
    const uint64_t first = held.offset >> bits;
    const uint64_t clusters = ((held.end() - 1) >> bits) - first + 1;
    if (!runs.empty() && runs.back().first + runs.back().second == first) {
      runs.back().second += clusters;
    } else {
      runs.emplace_back(first, clusters);
    }
    if (runs.size() == kMaxHeld) TRY(count());
  }
  return count();
}

Result<void> NewTables::count_table(uint64_t l2, int delta) {
  return live_.allocator.with_new_counts(
      [&](NewCounts& counts) { return counts.add(l2 >> live_.shape.cluster_bits, 1, delta); });
}

Result<void> NewTables::count(uint64_t l2, int delta) {
  Content content = TRY(content_of(l2));
  TRY(count_held(content, delta));
  return count_table(l2, delta);
}

Result<bool> NewTables::set_flags(Content& content) {
  L2Entries entries = entries_of(content);
  const auto set = [&](uint64_t i, L2Entry entry, bool copied) {
    const uint64_t now = copied ? entry.word | kCopied : entry.word & ~kCopied;
    if (now == entry.word) return;
    entry.word = now;
    entries.set(i, entry);
  };
  const auto set_all = [&](NewCounts& counts) -> Result<bool> {
    for (uint64_t i = 0; i < entries.size(); ++i) {
      const L2Entry entry = entries[i];
      if (!has_flag(entry)) continue;
      const uint64_t cluster = (entry.word & kOffsetMask) >> live_.shape.cluster_bits;
      // Of a new snapshot's everything is held twice.
      set(i, entry, purpose_ == For::remove && TRY(counts.get(cluster)) == 1);
    }
    return !entries.changed().empty();
  };
  return live_.allocator.with_new_counts(set_all);
}

// With this content the table at l2 has to be in the new state.
Result<void> NewTables::put(uint64_t l1_index, uint64_t l2, Content& content) {
  if (!TRY(set_flags(content))) return keep(l1_index, l2);
  if (purpose_ == For::remove) TRY(count_table(l2, -1));
  return put_copy(l1_index, content);
}

Result<void> NewTables::put_copy(uint64_t l1_index, const Content& content) {
  const uint64_t offset = TRY(live_.allocator.take()) << live_.shape.cluster_bits;
  copies_.push_back(offset);
  l2_.replace(offset, content);
  l1_[l1_index] = offset | kCopied;
  states_[l1_index] = State::copied;
  return {};
}

Result<void> NewTables::keep(uint64_t l1_index, uint64_t l2) {
  uint64_t flag = 0;
  if (purpose_ == For::create) {
    TRY(count_table(l2, 1));
  } else {
    const uint64_t uses = TRY(live_.allocator.with_new_counts(
        [&](NewCounts& counts) { return counts.get(l2 >> live_.shape.cluster_bits); }));
    if (uses == 1) flag = kCopied;
  }
  l1_[l1_index] = l2 | flag;
  states_[l1_index] = State::kept;
  return {};
}

Result<void> NewTables::make(uint64_t l1_index) {
  // Writers do not wait for a table that is not in memory.
  const uint64_t soon = TRY(live_.l1.entry(l1_index)) & kOffsetMask;
  if (soon != 0) TRY(content_of(soon));
  const MutexLock lock(mutex_);
  const uint64_t l2 = TRY(live_.l1.entry(l1_index)) & kOffsetMask;
  if (l2 == 0) {
    states_[l1_index] = State::kept;
    return {};
  }
  Content content = TRY(content_of(l2));
  if (purpose_ == For::create) TRY(count_held(content, 1));
  return put(l1_index, l2, content);
}

void NewTables::resize(uint64_t entries) {
  const MutexLock lock(mutex_);
  l1_.assign(entries, be64());
  states_.assign(entries, State::missing);
}

Result<void> NewTables::make_from(uint64_t l1_index, uint64_t l2) {
  const MutexLock lock(mutex_);
  Content content = TRY(content_of(l2));
  TRY(count_held(content, 1));
  return put(l1_index, l2, content);
}

Result<void> NewTables::change_l2(uint64_t l1_index, uint64_t l2_index,
                                  std::span<const L2Entry> now, const Store& store) {
  const MutexLock lock(mutex_);
  const uint64_t l2 = TRY(live_.l1.entry(l1_index)) & kOffsetMask;
  const std::vector<L2Entry> before =
      TRY(read_entries(live_.l2, live_.shape, l2, l2_index, now.size()));
  TRY(store());
  if (fault_ || states_[l1_index] == State::missing) return {};
  Result<void> done = follow_l2(l1_index, l2_index, before, now);
  if (!done) fault_ = std::move(done.error());
  return {};
}

Result<void> NewTables::follow_l2(uint64_t l1_index, uint64_t l2_index,
                                  std::span<const L2Entry> before, std::span<const L2Entry> now) {
  Content content = raw_entries(live_.shape, now);
  if (purpose_ == For::create) {
    TRY(count_held(content, 1));
    Content old = raw_entries(live_.shape, before);
    TRY(count_held(old, -1));
  }
  const uint64_t place = l1_[l1_index] & kOffsetMask;
  if (states_[l1_index] == State::kept) {
    // Both states have one table, and this is the live one's alone.
    if (purpose_ == For::remove) return {};
    Content whole = TRY(content_of(place));
    TRY(set_flags(whole));
    TRY(count_table(place, -1));
    return put_copy(l1_index, whole);
  }
  // A part of a cluster that is zeroed leaves the cluster where it is, and its flag.
  TRY(set_flags(content));
  return l2_.store(place + (l2_index << live_.shape.entry_bits()), Bytes(content));
}

Result<void> NewTables::change_l1(uint64_t l1_index, uint64_t before, uint64_t now,
                                  const Store& store) {
  const MutexLock lock(mutex_);
  TRY(store());
  if (fault_ || states_[l1_index] == State::missing) return {};
  Result<void> done = follow_l1(l1_index, before, now);
  if (!done) fault_ = std::move(done.error());
  return {};
}

// The table at now has what the one at before has, or nothing but empty entries. The live disk's
// own reference to the one at before goes, as all of them do, when that is durable.
Result<void> NewTables::follow_l1(uint64_t l1_index, uint64_t before, uint64_t now) {
  if (states_[l1_index] == State::kept) {
    if (purpose_ == For::create && before != 0) TRY(count_table(before, -1));
    return keep(l1_index, now);
  }
  if (purpose_ == For::create) return {};
  // The copy is still right. Not the table at now but the one at before is what it replaces.
  TRY(count_table(before, 1));
  return count_table(now, -1);
}

Result<void> NewTables::write_out() {
  const platter::Table::Pages pages = l2_.take_dirty();
  Result<void> done = l2_.write(pages);
  if (done) {
    l2_.written(pages);
  } else {
    l2_.put_back(pages);
  }
  return done;
}

std::optional<Error> NewTables::fault() {
  const MutexLock lock(mutex_);
  return fault_;
}

}  // namespace platter::qcow2
