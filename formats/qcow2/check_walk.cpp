#include "formats/qcow2/check_walk.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr size_t kBatch = size_t{128} * 1024;  // L2 tables looked at together
constexpr uint64_t kL1Piece = 8192;            // entries of an L1 table read at once

// Nothing but zeroes from offset to this end.
Result<uint64_t> hole_end(const File& file, uint64_t offset) {
  const File::Run run = TRY(file.run_at(offset));
  return run.data ? offset : run.range.end();
}

}  // namespace

Result<bool> read_table(const File& file, uint64_t offset, MutableBytes out) {
  const uint64_t size = TRY(file.stat()).size;
  if (offset >= size) return false;
  const uint64_t end = std::min(offset + out.size(), size);
  if (TRY(hole_end(file, offset)) >= end) return false;
  TRY(file.read_padded(offset, out));
  return true;
}

std::string L1Place::name() const {
  return active() ? "L1 table" : fmt::format("snapshot table entry {}: L1 table", snapshot - 1);
}

TableWalk::TableWalk(File& file, const Header& header, const std::vector<Snapshot>& snapshots)
    : file_(file), shape_(shape_of(header)), file_size_(header.file_size) {
  tables_.push_back({header.l1, 0});
  // Tables that overlap could make the way through them much longer than the file.
  uint64_t room = file_size_ - std::min(file_size_, header.l1.entries * sizeof(be64));
  for (const Snapshot& snapshot : snapshots) {
    const uint64_t bytes = snapshot.l1.entries * sizeof(be64);
    if (bytes > room) {
      overlapping_.push_back(snapshot.info.id);
      continue;
    }
    room -= bytes;
    tables_.push_back({snapshot.l1, snapshot.info.id});
  }
}

Result<void> TableWalk::for_each_l1_entry(const VisitL1& visit) {
  for (const L1Place& place : tables_) TRY(walk_l1(place, visit));
  return {};
}

Result<void> TableWalk::walk_l1(const L1Place& place, const VisitL1& visit) {
  for (uint64_t i = 0; i < place.table.entries;) {
    const uint64_t at = place.table.offset + i * sizeof(be64);
    const uint64_t data = TRY(hole_end(file_, at));
    if (data > at) {
      i += (data - at) / sizeof(be64);
      // The entry that begins in a hole and ends behind it, if there is one, is read.
      if ((data - at) % sizeof(be64) == 0) continue;
    }
    if (i >= place.table.entries) break;
    const uint64_t n = std::min(kL1Piece, place.table.entries - i);
    TRY(walk_piece(place, i, n, visit));
    i += n;
  }
  return {};
}

Result<void> TableWalk::walk_piece(const L1Place& place, uint64_t first, uint64_t entries,
                                   const VisitL1& visit) {
  std::vector<be64> words(entries);
  const uint64_t at = place.table.offset + first * sizeof(be64);
  TRY(file_.read_padded(at, std::as_writable_bytes(std::span(words))));
  Range changed;
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t old = words[i];
    if (old == 0) continue;
    uint64_t word = old;
    TRY(visit(place, first + i, word));
    if (word == old) continue;
    words[i] = word;
    changed = hull(changed, {i, 1});
  }
  if (changed.empty()) return {};
  return file_.write(at + changed.offset * sizeof(be64),
                     std::as_bytes(std::span(words).subspan(changed.offset, changed.length)));
}

void TableWalk::merge() {
  std::sort(uses_.begin(), uses_.end(), [](const L2Use& a, const L2Use& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.l1_index < b.l1_index;
  });
  size_t kept = 0;
  for (const L2Use& use : uses_) {
    if (kept != 0 && uses_[kept - 1].offset == use.offset) {
      uses_[kept - 1].uses += use.uses;
      uses_[kept - 1].active += use.active;
    } else {
      uses_[kept++] = use;
    }
  }
  uses_.resize(kept);
}

Result<uint64_t> TableWalk::collect(uint64_t from) {
  uses_.clear();
  uses_.reserve(kBatch);
  uint64_t end = kMaxOffset;
  TRY(for_each_l1_entry([&](const L1Place& place, uint64_t index, uint64_t& word) -> Result<void> {
    const L1Check entry = check_l1_entry(shape_, word, file_size_);
    if (!entry.followed || entry.held.offset < from || entry.held.offset >= end) return {};
    uses_.push_back({entry.held.offset, index, 1, place.active() ? 1U : 0U});
    if (uses_.size() < kBatch) return {};
    merge();
    if (uses_.size() <= kBatch / 2) return {};
    end = uses_[kBatch / 2].offset;
    uses_.resize(kBatch / 2);
    return {};
  }));
  merge();
  return end;
}

Result<void> TableWalk::for_each_l2(const VisitL2& visit, Of which) {
  std::vector<std::byte> bytes(shape_.cluster_size());
  for (uint64_t from = 0; from != kMaxOffset;) {
    from = TRY(collect(from));
    for (const L2Use& use : uses_) {
      if (which == Of::disk && use.active == 0) continue;
      if (!TRY(read_table(file_, use.offset, bytes))) continue;
      L2Entries entries(bytes, shape_.entry_bits());
      TRY(visit(use, entries));
      const Range changed = entries.changed();
      if (changed.empty()) continue;
      TRY(file_.write(use.offset + changed.offset,
                      Bytes(bytes).subspan(changed.offset, changed.length)));
    }
  }
  return {};
}

}  // namespace platter::qcow2
