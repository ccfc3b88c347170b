// The look-up: an entry of the directory has the number of a table, an entry of that the number of
// a grain. Entries are looked at as long as they go on where the last one ended, in one page of the
// table, so that a read across grains is one extent.
#include "formats/vmdk/sesparse_extent.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::vmdk {
namespace {

constexpr uint64_t kGrainBytes = kSeSparseGrain * kSector;
constexpr uint64_t kTableBytes = kSeSparseTable * kSector;
constexpr const char* kJournal = "its journal was not replayed: its last writer did not close it";

uint64_t kind_of(uint64_t entry) { return entry >> kSeSparseKindShift; }

// Of an entry of the kind kSeSparseStored.
uint64_t grain_number(uint64_t entry) {
  return (entry >> 48 & 0xfff) | (entry & 0x0000'ffff'ffff'ffff) << 12;
}

}  // namespace

SeSparseExtent::SeSparseExtent(Request request, const SeSparseHeader& header)
    : DiskExtent(request.size.value_or(header.capacity)),
      file_(std::move(request.file)),
      pages_(std::move(request.tables)),
      header_(header) {
  if (header.dirty) warnings_.emplace_back(kJournal);
}

Result<std::unique_ptr<SeSparseExtent>> SeSparseExtent::open(Request request) {
  const SeSparseHeader header = TRY(parse_sesparse_header(*request.file));
  if (request.size.value_or(0) > header.capacity) {
    return Error(Errc::corrupt, fmt::format("the descriptor gives it {} bytes, its header {}",
                                            *request.size, header.capacity));
  }
  if (header.dirty && !request.info_only) return Error(Errc::unsupported, kJournal);
  return std::unique_ptr<SeSparseExtent>(new SeSparseExtent(std::move(request), header));
}

uint64_t SeSparseExtent::grain_size() const { return kGrainBytes; }

std::string SeSparseExtent::description() const {
  return header_.dirty ? "grains of 4 KiB, unclean" : "grains of 4 KiB";
}

uint64_t SeSparseExtent::Window::entry(uint64_t i) const {
  return load<le64>(Bytes(page->bytes), at + i * sizeof(le64));
}

// most: entries that follow in the structure.
Result<SeSparseExtent::Window> SeSparseExtent::window(const char* what, uint64_t at,
                                                      uint64_t most) const {
  Window found{.page = TRY(pages_->page(*file_, at)), .at = at % PageCache::kPageSize};
  if (found.at + sizeof(le64) > found.page->valid) {
    return Error(Errc::corrupt, fmt::format("{}: lies past the end of the file ({:#x})", what, at));
  }
  found.count = std::min<uint64_t>((found.page->valid - found.at) / sizeof(le64), most);
  return found;
}

Result<uint64_t> SeSparseExtent::table_of(uint64_t index, uint64_t entry) const {
  if (entry >> 32 != kSeSparseTableThere) {
    return Error(Errc::corrupt,
                 fmt::format("grain directory: entry {} is no table ({:#x})", index, entry));
  }
  const uint64_t at = header_.tables + (entry & 0xffff'ffff) * kTableBytes;
  if (fits(at, kTableBytes, header_.file_size)) return at;
  return Error(Errc::corrupt,
               fmt::format("grain directory: entry {} points past the end of the file", index));
}

// In the file, the last one perhaps in part.
uint64_t SeSparseExtent::stored_grains() const {
  return div_up(header_.file_size - header_.grains, kGrainBytes);
}

Range SeSparseExtent::guest_of(uint64_t grain, uint64_t count) const {
  const uint64_t offset = grain * kGrainBytes;
  const uint64_t most = div_up(size() - offset, kGrainBytes);
  return intersect({offset, std::min(count, most) * kGrainBytes}, {0, size()});
}

Result<Extent> SeSparseExtent::map(const Range& want) const {
  const uint64_t grain = want.offset / kGrainBytes;
  const uint64_t index = grain / kSeSparseTableEntries;
  const uint64_t tables = div_up(size(), kGrainBytes * kSeSparseTableEntries);
  const Window window = TRY(
      this->window("grain directory", header_.directory + index * sizeof(le64), tables - index));
  if (window.entry(0) != 0) return map_table(TRY(table_of(index, window.entry(0))), want);
  uint64_t missing = 1;
  while (missing < window.count && window.entry(missing) == 0) ++missing;
  return Extent{.guest = guest_of(grain, (index + missing) * kSeSparseTableEntries - grain)};
}

Result<void> SeSparseExtent::expect_entry(uint64_t grain, uint64_t entry) const {
  switch (kind_of(entry)) {
    case kSeSparseNothing:
      if (entry != 0) break;
      return {};
    case kSeSparseUnmapped:
    case kSeSparseZero: return {};
    case kSeSparseStored:
      if (grain_number(entry) < stored_grains()) return {};
      return Error(Errc::corrupt,
                   fmt::format("grain {}: its entry points past the end of the file", grain));
    default: break;
  }
  return Error(Errc::corrupt, fmt::format("grain {}: its entry is no grain ({:#x})", grain, entry));
}

Result<Extent> SeSparseExtent::map_table(uint64_t table, const Range& want) const {
  const uint64_t grain = want.offset / kGrainBytes;
  const uint64_t wanted = (want.end() - 1) / kGrainBytes - grain + 1;
  const uint64_t index = grain % kSeSparseTableEntries;
  const Window window = TRY(this->window("grain table", table + index * sizeof(le64),
                                         std::min(wanted, kSeSparseTableEntries - index)));
  const uint64_t first = window.entry(0);
  TRY(expect_entry(grain, first));
  uint64_t count = 1;
  if (kind_of(first) == kSeSparseStored) {
    const uint64_t number = grain_number(first);
    const uint64_t most = std::min(window.count, stored_grains() - number);
    while (count < most && kind_of(window.entry(count)) == kSeSparseStored &&
           grain_number(window.entry(count)) == number + count) {
      ++count;
    }
    return stored(guest_of(grain, count), header_.grains + number * kGrainBytes, want.offset);
  }
  while (count < window.count && window.entry(count) == first) ++count;
  const bool nothing = kind_of(first) == kSeSparseNothing;
  return Extent{.guest = guest_of(grain, count),
                .kind = nothing ? Extent::Kind::absent : Extent::Kind::zero};
}

// What the file lacks of its last grain was never written.
Extent SeSparseExtent::stored(const Range& guest, uint64_t host, uint64_t wanted) const {
  const uint64_t there = std::min(header_.file_size - host, guest.length);
  if (wanted - guest.offset < there) {
    return Extent{.guest = {guest.offset, there},
                  .kind = Extent::Kind::data,
                  .file = file_.get(),
                  .host = host};
  }
  return Extent{.guest = {guest.offset + there, guest.length - there}, .kind = Extent::Kind::zero};
}

Result<void> SeSparseExtent::check(Repair how, CheckReport& report) {
  if (how != Repair::none) {
    return Error(Errc::unsupported, "seSparse extents cannot be repaired: convert it");
  }
  if (header_.dirty) report.corruption(kJournal);
  const uint64_t tables = div_up(size(), kGrainBytes * kSeSparseTableEntries);
  for (uint64_t index = 0; index < tables;) {
    const Window entries =
        TRY(window("grain directory", header_.directory + index * sizeof(le64), tables - index));
    for (uint64_t i = 0; i < entries.count; ++i, ++index) {
      if (entries.entry(i) != 0) TRY(check_table(index, entries.entry(i), report));
    }
  }
  return {};
}

Result<void> SeSparseExtent::check_table(uint64_t index, uint64_t entry,
                                         CheckReport& report) const {
  const Result<uint64_t> table = table_of(index, entry);
  if (!table) {
    report.corruption(table.error().message());
    return {};
  }
  const uint64_t first = index * kSeSparseTableEntries;
  const uint64_t grains = std::min(kSeSparseTableEntries, div_up(size(), kGrainBytes) - first);
  for (uint64_t i = 0; i < grains;) {
    const Window entries = TRY(window("grain table", *table + i * sizeof(le64), grains - i));
    for (uint64_t n = 0; n < entries.count; ++n, ++i) {
      if (kind_of(entries.entry(n)) == kSeSparseStored) ++report.blocks;
      const Result<void> sound = expect_entry(first + i, entries.entry(n));
      if (!sound) report.corruption(sound.error().message());
    }
  }
  return {};
}

}  // namespace platter::vmdk
