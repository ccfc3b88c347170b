#include "formats/qcow2/metadata_map.h"

#include <array>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

Result<void> put(MetadataMap& map, const Range& range, MetadataMap::Kind kind) {
  if (map.add(range, kind)) return {};
  return Error(Errc::corrupt, fmt::format("{} at {:#x}: overlaps another table",
                                          MetadataMap::name(kind), range.offset));
}

// The tables of one cluster each that a table of pointers names.
Result<void> put_children(const File& file, const Header& header, const Table& table,
                          MetadataMap::Kind kind, MetadataMap& map) {
  const uint64_t mask = kind == MetadataMap::Kind::l2_table ? kOffsetMask : ~(kSector - 1);
  std::vector<be64> part(std::min<uint64_t>(table.entries, 8192));
  for (uint64_t done = 0; done < table.entries; done += part.size()) {
    part.resize(std::min<uint64_t>(part.size(), table.entries - done));
    TRY(file.read_padded(table.offset + done * sizeof(be64),
                         std::as_writable_bytes(std::span(part))));
    for (const be64 entry : part) {
      const uint64_t at = entry & mask;
      if (at == 0) continue;
      if (at % header.cluster_size() != 0 || at >= header.file_size) {
        return Error(Errc::corrupt,
                     fmt::format("{} at {:#x}: unaligned or past the end of the file",
                                 MetadataMap::name(kind), at));
      }
      TRY(put(map, {at, header.cluster_size()}, kind));
    }
  }
  return {};
}

}  // namespace

std::string_view MetadataMap::name(Kind kind) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "header",           "L1 table",       "L2 table",          "refcount table",
      "refcount block",   "snapshot table", "snapshot L1 table", "bitmap directory",
      "encryption header"};
  return kNames[static_cast<size_t>(kind)];
}

Result<void> MetadataMap::scan(const File& file, const Header& header,
                               const std::vector<Snapshot>& snapshots, MetadataMap& map) {
  map.clear();
  TRY(put(map, {0, header.cluster_size()}, Kind::header));
  TRY(put(map, header.l1.place(), Kind::l1_table));
  TRY(put(map, header.refcount_table.place(), Kind::refcount_table));
  if (header.snapshots != 0) {
    // Its length is known to the parser of its entries; the first cluster is what it surely has.
    TRY(put(map, {header.snapshots_offset, header.cluster_size()}, Kind::snapshot_table));
  }
  for (const Snapshot& snapshot : snapshots) {
    TRY(put(map, snapshot.l1.place(), Kind::snapshot_l1_table));
  }
  TRY(put(map, header.bitmap_directory.place(), Kind::bitmap_directory));
  TRY(put(map, header.luks, Kind::encryption_header));
  TRY(put_children(file, header, header.refcount_table, Kind::refcount_block, map));
  return put_children(file, header, header.l1, Kind::l2_table, map);
}

void MetadataMap::clear() {
  const WriteLock lock(mutex_);
  clusters_.clear();
}

bool MetadataMap::add(const Range& range, Kind kind) {
  if (range.empty()) return true;
  const WriteLock lock(mutex_);
  bool free = true;
  for (uint64_t c = range.offset >> cluster_bits_; c <= (range.end() - 1) >> cluster_bits_; ++c) {
    free = clusters_.emplace(c, kind).second && free;
  }
  return free;
}

void MetadataMap::remove(const Range& range) {
  if (range.empty()) return;
  const WriteLock lock(mutex_);
  for (uint64_t c = range.offset >> cluster_bits_; c <= (range.end() - 1) >> cluster_bits_; ++c) {
    clusters_.erase(c);
  }
}

void MetadataMap::remove(Kind kind) {
  const WriteLock lock(mutex_);
  std::erase_if(clusters_, [kind](const auto& entry) { return entry.second == kind; });
}

std::optional<MetadataMap::Kind> MetadataMap::find(const Range& range) const {
  if (range.empty()) return std::nullopt;
  const ReadLock lock(mutex_);
  for (uint64_t c = range.offset >> cluster_bits_; c <= (range.end() - 1) >> cluster_bits_; ++c) {
    const auto found = clusters_.find(c);
    if (found != clusters_.end()) return found->second;
  }
  return std::nullopt;
}

}  // namespace platter::qcow2
