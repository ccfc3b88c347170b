#include "lib/partition/bsd_label.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/partition/table_builder.h"

namespace platter {
namespace {

static_assert(offsetof(BsdLabel, sector_size) == 40);
static_assert(offsetof(BsdLabel, version) == 114);
static_assert(offsetof(BsdLabel, magic_again) == 132);
static_assert(offsetof(BsdLabel, entries) == 148);

// Sector 1 of the disk or the slice.
constexpr uint64_t kLabelOffset = 512;
static_assert(kLabelOffset + sizeof(BsdLabel) <= kInnerTableEnd);
constexpr size_t kRawPartition = 2;  // c: all of the disk or of the slice
constexpr uint8_t kFreeBsd = 0xa5, kOpenBsd = 0xa6, kNetBsd = 0xa9;

bool is_right(const BsdLabel& label) {
  if (label.magic != kBsdMagic || label.magic_again != kBsdMagic) return false;
  if (label.sector_size != 512 && label.sector_size != 4096) return false;
  if (label.count > BsdLabel::kMaxEntries) return false;
  const Bytes bytes =
      as_bytes_of(label).first(offsetof(BsdLabel, entries) + label.count * sizeof(BsdEntry));
  uint16_t sum = 0;
  for (size_t at = 0; at < bytes.size(); at += 2) sum ^= load<le16>(bytes, at);
  return sum == 0;
}

// within: bytes of the disk. Empty: no label that can be right.
Result<std::optional<BsdLabel>> read_label(const View& view, const Range& within) {
  BsdLabel label;
  if (!fits(kLabelOffset, sizeof label, within.length)) return std::optional<BsdLabel>();
  TRY(view.read(within.offset + kLabelOffset, std::as_writable_bytes(std::span(&label, 1))));
  return is_right(label) ? std::optional(label) : std::nullopt;
}

struct Sectors {
  uint64_t first, count;
};

Sectors sectors_of(const BsdLabel& label, const BsdEntry& entry) {
  if (label.version != 1) return {entry.start, entry.length};
  return {entry.start | uint64_t{entry.start_high} << 32,
          entry.length | uint64_t{entry.length_high} << 32};
}

TableBuilder::Entry partition(unsigned number, const BsdEntry& entry, const Sectors& sectors) {
  return {.number = number,
          .first = sectors.first,
          .last = sectors.first + sectors.count - 1,
          .type = fmt::format("bsd:0x{:02x}", entry.type)};
}

}  // namespace

bool may_have_bsd_label(const MbrEntry& entry) {
  return entry.type == kFreeBsd || entry.type == kOpenBsd || entry.type == kNetBsd;
}

Result<std::optional<PartitionTable>> read_bsd_label(const View& view) {
  const Range all{0, view.size()};
  const auto label = TRY(read_label(view, all));
  if (!label) return std::optional<PartitionTable>();
  TableBuilder table(PartitionTable::Scheme::bsd, label->sector_size, view.size());
  for (unsigned i = 0; i < label->count; ++i) {
    const Sectors sectors = sectors_of(*label, label->entries[i]);
    if (i == kRawPartition || label->entries[i].type == 0 || sectors.count == 0) continue;
    table.add(partition(i + 1, label->entries[i], sectors));
  }
  return std::optional(std::move(table).finish());
}

Result<void> add_bsd_slice(const View& view, const Range& slice, TableBuilder& table,
                           unsigned& number) {
  const auto label = TRY(read_label(view, slice));
  if (!label || label->sector_size != table.sector_size()) return {};
  const uint64_t first = slice.offset / table.sector_size();
  const uint64_t count = slice.length / table.sector_size();
  // FreeBSD counts from the slice, which shows in the partition that is all of it.
  const bool relative = sectors_of(*label, label->entries[kRawPartition]).first == 0;
  for (unsigned i = 0; i < label->count; ++i) {
    Sectors sectors = sectors_of(*label, label->entries[i]);
    if (i == kRawPartition || label->entries[i].type == 0 || sectors.count == 0) continue;
    if (relative) sectors.first += first;
    if (sectors.first == first && sectors.count == count) continue;
    if (sectors.first < first || !fits(sectors.first - first, sectors.count, count)) {
      table.warn(fmt::format("BSD partition {} is not inside its slice: left out",
                             static_cast<char>('a' + i)));
      continue;
    }
    TableBuilder::Entry entry = partition(number++, label->entries[i], sectors);
    entry.inner = true;
    table.add(std::move(entry));
  }
  return {};
}

}  // namespace platter
