#include "lib/partition/mbr.h"

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/partition/bsd_label.h"
#include "lib/partition/table_builder.h"

namespace platter {
namespace {

// An MBR's numbers count these; disks of larger sectors that use one instead of a GPT are not told
// from the others.
constexpr uint64_t kSector = 512;
constexpr unsigned kFirstLogical = 5;
constexpr size_t kMaxLogical = 128;

bool has_text(const BootRecord& sector, size_t offset, std::string_view text) {
  const Bytes bytes = as_bytes_of(sector).subspan(offset, text.size());
  return std::equal(bytes.begin(), bytes.end(), text.begin(), text.end(),
                    [](std::byte a, char b) { return static_cast<char>(a) == b; });
}

// FAT12/16 and FAT32 name themselves at 54 and 82, NTFS and exFAT at 3. Their boot code may look
// like entries.
bool is_boot_sector_of_a_file_system(const BootRecord& sector) {
  return has_text(sector, 3, "NTFS    ") || has_text(sector, 3, "EXFAT   ") ||
         has_text(sector, 54, "FAT12   ") || has_text(sector, 54, "FAT16   ") ||
         has_text(sector, 54, "FAT     ") || has_text(sector, 82, "FAT32   ");
}

TableBuilder::Entry partition(unsigned number, const MbrEntry& entry, uint64_t base) {
  const uint64_t first = base + entry.start;
  return {.number = number,
          .first = first,
          .last = first + entry.length - 1,
          .type = fmt::format("0x{:02x}", entry.type)};
}

Range range_of(const MbrEntry& entry, uint64_t base) {
  return {(base + entry.start) * kSector, entry.length * kSector};
}

// Follows the extended boot records: each has one logical partition, counted from itself, and
// names the next, counted from the start of the extended partition.
class LogicalChain {
 public:
  // number: of the next logical partition. slices: of those that may have a BSD label.
  LogicalChain(const View& view, TableBuilder& table, unsigned& number, std::vector<Range>& slices)
      : view_(view), table_(table), number_(number), slices_(slices) {}

  Result<void> follow(const MbrEntry& extended) {
    const uint64_t base = extended.start;
    uint64_t at = base;
    while (number_ < kFirstLogical + kMaxLogical) {
      if (!seen_.insert(at).second) return stop(at, "was there before: the chain is a loop");
      if (seen_.size() > 2 * kMaxLogical) return stop(at, "the chain is too long");
      BootRecord record;
      if (!fits(at * kSector, kSector, view_.size())) {
        return stop(at, "past the end of the disk");
      }
      TRY(view_.read(at * kSector, std::as_writable_bytes(std::span(&record, 1))));
      if (record.signature != kBootSignature) return stop(at, "has no signature");
      const MbrEntry* const next = take_logical(record, at);
      if (next == nullptr) return {};
      at = base + next->start;
    }
    return stop(at, "more logical partitions than are looked at");
  }

 private:
  // Adds the logical partition and returns the link to the next record; null: there is none.
  const MbrEntry* take_logical(const BootRecord& record, uint64_t at) {
    const MbrEntry* link = nullptr;
    for (const MbrEntry& entry : std::span(record.entries).first<2>()) {
      if (!entry.used()) continue;
      if (entry.extended()) {
        link = &entry;
      } else {
        table_.add(partition(number_++, entry, at));
        if (may_have_bsd_label(entry)) slices_.push_back(range_of(entry, at));
      }
    }
    return link;
  }

  Result<void> stop(uint64_t at, std::string_view why) {
    table_.warn(fmt::format("extended boot record at sector {}: {}", at, why));
    return {};
  }

  const View& view_;
  TableBuilder& table_;
  unsigned& number_;
  std::vector<Range>& slices_;
  std::set<uint64_t> seen_;
};

}  // namespace

bool is_partition_table(const BootRecord& sector, uint64_t disk_size) {
  if (sector.signature != kBootSignature || is_boot_sector_of_a_file_system(sector)) return false;
  bool any = false;
  for (const MbrEntry& entry : sector.entries) {
    if (entry.status != 0 && entry.status != 0x80) return false;
    any = any || (entry.used() && entry.start < div_up(disk_size, kSector));
  }
  return any;
}

Result<PartitionTable> read_mbr(const View& view, const BootRecord& sector) {
  TableBuilder table(PartitionTable::Scheme::mbr, kSector, view.size());
  unsigned next_number = kFirstLogical;
  std::vector<Range> slices;
  LogicalChain logical(view, table, next_number, slices);
  unsigned number = 0;
  for (const MbrEntry& entry : sector.entries) {
    ++number;
    if (!entry.used()) continue;
    if (entry.extended()) {
      TRY(logical.follow(entry));
    } else {
      table.add(partition(number, entry, 0));
      if (may_have_bsd_label(entry)) slices.push_back(range_of(entry, 0));
    }
  }
  for (const Range& slice : slices) {
    if (!fits(slice.offset, slice.length, view.size())) continue;
    TRY(add_bsd_slice(view, slice, table, next_number));
  }
  return std::move(table).finish();
}

}  // namespace platter
