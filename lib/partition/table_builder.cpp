#include "lib/partition/table_builder.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter {
namespace {

// A hostile table can have thousands of bad entries; nobody reads more than a few lines of them.
constexpr size_t kMaxWarnings = 16;

}  // namespace

TableBuilder::TableBuilder(PartitionTable::Scheme scheme, uint64_t sector_size, uint64_t disk_size)
    : table_{.scheme = scheme, .sector_size = sector_size}, disk_size_(disk_size) {}

void TableBuilder::warn(std::string text) {
  if (table_.warnings.size() < kMaxWarnings) {
    table_.warnings.push_back(std::move(text));
  } else {
    ++unsaid_;
  }
}

void TableBuilder::add(Entry entry) {
  if (entry.last < entry.first) {
    return warn(fmt::format("partition {}: ends before it begins: left out", entry.number));
  }
  if (disk_size_ == 0 || entry.first > (disk_size_ - 1) / table_.sector_size) {
    return warn(
        fmt::format("partition {}: begins past the end of the disk: left out", entry.number));
  }
  const uint64_t last_sector = (disk_size_ - 1) / table_.sector_size;
  if (entry.last > last_sector) {
    warn(fmt::format("partition {}: ends past the end of the disk: cut there", entry.number));
  }
  const uint64_t from = entry.first * table_.sector_size;
  const uint64_t rest = disk_size_ - from;
  const uint64_t sectors = std::min(entry.last, last_sector) - entry.first + 1;
  // The last sector of a disk may be a part of one.
  const bool whole = sectors <= rest / table_.sector_size;
  table_.partitions.push_back({.number = entry.number,
                               .range = {from, whole ? sectors * table_.sector_size : rest},
                               .type = std::move(entry.type),
                               .name = std::move(entry.name),
                               .uuid = entry.uuid,
                               .inner = entry.inner});
}

void TableBuilder::warn_about_overlaps() {
  std::vector<const Partition*> by_offset;
  for (const Partition& partition : table_.partitions) {
    if (!partition.inner) by_offset.push_back(&partition);
  }
  std::sort(by_offset.begin(), by_offset.end(), [](const Partition* a, const Partition* b) {
    return a->range.offset < b->range.offset;
  });
  const Partition* farthest = nullptr;
  for (const Partition* partition : by_offset) {
    if (farthest != nullptr && partition->range.offset < farthest->range.end()) {
      warn(fmt::format("partitions {} and {} overlap", farthest->number, partition->number));
    }
    if (farthest == nullptr || partition->range.end() > farthest->range.end()) {
      farthest = partition;
    }
  }
}

PartitionTable TableBuilder::finish() && {
  std::sort(table_.partitions.begin(), table_.partitions.end(),
            [](const Partition& a, const Partition& b) { return a.number < b.number; });
  warn_about_overlaps();
  if (unsaid_ > 0) {
    table_.warnings.push_back(fmt::format("and {} more of the kind", unsaid_));
  }
  return std::move(table_);
}

}  // namespace platter
