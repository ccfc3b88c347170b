// Until the header has changed nothing that is written here belongs to the disk; afterwards, too,
// the descriptor alone says how much of the extent does.
#include "formats/vmdk/sparse_grow.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/grain_repair.h"
#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

constexpr uint64_t kMaxFileBytes = (uint64_t{1} << 32) * kSector;

uint64_t in_sectors(uint64_t bytes) { return align_up(bytes, kSector); }

class Growth {
 public:
  Growth(File& file, const SparseHeader& header, uint64_t from, uint64_t to, uint32_t unused)
      : file_(file),
        header_(header),
        old_(header.layout),
        new_(header.layout),
        from_(from),
        unused_(unused) {
    new_.capacity = std::max(old_.capacity, to);
    new_.entries = div_up(new_.capacity, new_.span());
  }

  Result<void> run() {
    const GrainScan scan = TRY(sound_scan(file_, header_));
    end_ = align_up(std::max(scan.file_size, scan.used_end), old_.grain);
    TRY(expect_room());
    TRY(clear_last_grain(scan));
    TRY(clear_tables(scan));
    TRY(make_tables());
    TRY(place_directories());
    TRY(file_.resize(align_up(end_, old_.grain)));
    TRY(file_.sync());
    TRY(write_header());
    return file_.sync();
  }

 private:
  uint64_t new_tables() const { return new_.entries - old_.entries; }
  uint64_t directories() const { return old_.redundant != 0 ? 2 : 1; }

  Result<void> expect_room() const {
    const uint64_t tables =
        directories() * (new_tables() * old_.table_bytes() + in_sectors(new_.entries * 4));
    const uint64_t grains = new_.capacity - from_;
    if (fits(end_ + tables, align_up(grains, old_.grain), kMaxFileBytes)) return {};
    return Error(Errc::invalid,
                 fmt::format("a sparse extent of {}: its file would be larger than the {} that its "
                             "tables can name",
                             human_size(new_.capacity), human_size(kMaxFileBytes)));
  }

  // The grain that the disk ends in goes on behind it, with whatever its writer left there.
  Result<void> clear_last_grain(const GrainScan& scan) {
    const uint64_t inside = from_ % old_.grain;
    if (inside == 0) return {};
    const uint64_t grain = from_ / old_.grain;
    for (const TablePair& pair : scan.places.pairs()) {
      if (pair.index != grain / old_.table_entries || pair.table == 0) continue;
      const uint64_t at = pair.table + grain % old_.table_entries * sizeof(le32);
      const uint32_t entry = TRY(file_.read_struct<le32>(at));
      if (old_.kind_of(entry) != GrainLayout::Entry::grain) continue;
      const std::vector<std::byte> zeroes(std::min(old_.grain - inside, MiB));
      for (uint64_t done = inside; done < old_.grain;) {
        const size_t n = std::min<uint64_t>(zeroes.size(), old_.grain - done);
        TRY(file_.write(entry * kSector + done, Bytes(zeroes).first(n)));
        done += n;
      }
    }
    return {};
  }

  // Entries behind the end, in the tables there are.
  Result<void> clear_tables(const GrainScan& scan) {
    const uint64_t first = div_up(from_, old_.grain);
    return for_each_table(file_, header_, scan.places,
                          [&](const TablePair& pair, std::span<const le32> table,
                              std::span<const le32> /*redundant*/) -> Result<void> {
                            const uint64_t base = pair.index * old_.table_entries;
                            const uint64_t skip = std::max(first, base) - base;
                            if (skip >= table.size()) return {};
                            const std::vector<le32> entries(table.size() - skip, le32(unused_));
                            const Bytes bytes = std::as_bytes(std::span(entries));
                            if (std::ranges::equal(bytes, std::as_bytes(table.subspan(skip))))
                              return {};
                            const uint64_t at = skip * sizeof(le32);
                            if (pair.redundant != 0) TRY(file_.write(pair.redundant + at, bytes));
                            return file_.write(pair.table + at, bytes);
                          });
  }

  // In two rows, one a directory; as holes where their entries say nothing.
  Result<void> make_tables() {
    const uint64_t row = new_tables() * old_.table_bytes();
    first_redundant_ = end_;
    first_table_ = end_ + (old_.redundant != 0 ? row : 0);
    end_ = first_table_ + row;
    if (unused_ == kNoGrain || row == 0) return {};
    const std::vector<le32> entries(16 * KiB, le32(unused_));
    for (uint64_t at = first_redundant_; at < end_;) {
      const size_t n = std::min<uint64_t>(entries.size() * sizeof(le32), end_ - at);
      TRY(file_.write(at, std::as_bytes(std::span(entries)).first(n)));
      at += n;
    }
    return {};
  }

  Result<void> place_directories() {
    if (new_tables() == 0) return {};
    TRY(place(new_.directory, first_table_));
    return old_.redundant != 0 ? place(new_.redundant, first_redundant_) : Result<void>();
  }

  // The entries of the new tables go behind the old ones where their sector has room.
  Result<void> place(uint64_t& directory, uint64_t first_table) {
    std::vector<le32> entries;
    const uint64_t room = in_sectors(old_.entries * sizeof(le32)) / sizeof(le32);
    uint64_t at = directory + old_.entries * sizeof(le32);
    if (room < new_.entries) {
      entries.resize(old_.entries);
      TRY(file_.read_exact(directory, std::as_writable_bytes(std::span(entries))));
      directory = align_up(end_, kSector);
      end_ = directory + new_.entries * sizeof(le32);
      at = directory;
    }
    for (uint64_t i = 0; i < new_tables(); ++i) {
      entries.emplace_back(static_cast<uint32_t>((first_table + i * old_.table_bytes()) / kSector));
    }
    return file_.write(at, std::as_bytes(std::span(entries)));
  }

  // One write inside the first sector of the file.
  Result<void> write_header() {
    auto raw = TRY(file_.read_struct<RawSparseHeader>(0));
    raw.capacity = new_.capacity / kSector;
    raw.gd_offset = new_.directory / kSector;
    if (old_.redundant != 0) raw.rgd_offset = new_.redundant / kSector;
    constexpr size_t kFrom = offsetof(RawSparseHeader, capacity);
    constexpr size_t kTo = offsetof(RawSparseHeader, overhead);
    return file_.write(kFrom, as_bytes_of(raw).subspan(kFrom, kTo - kFrom));
  }

  File& file_;
  const SparseHeader& header_;
  const GrainLayout old_;
  GrainLayout new_;
  const uint64_t from_;
  const uint32_t unused_;  // what the entries behind the end are
  uint64_t end_ = 0;       // of the file, with what is new, bytes
  uint64_t first_table_ = 0, first_redundant_ = 0;
};

}  // namespace

Result<void> grow_sparse(File& file, const SparseHeader& header, uint64_t from, uint64_t to,
                         bool child) {
  if (child && !header.layout.zeroed_grains) {
    return Error(Errc::unsupported,
                 "a child without zeroed grains cannot hide what its parent may hold behind the "
                 "end");
  }
  if (to > kMaxFileBytes) {
    return Error(Errc::invalid, fmt::format("a sparse extent of {}: at most {} are possible",
                                            human_size(to), human_size(kMaxFileBytes)));
  }
  return Growth(file, header, from, to, child ? kZeroedGrain : kNoGrain).run();
}

}  // namespace platter::vmdk
