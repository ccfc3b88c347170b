#include "formats/vmdk/table_moves.h"

#include <algorithm>

namespace platter::vmdk {
namespace {

uint64_t in_whole_sectors(uint64_t bytes) { return align_up(bytes, kSector); }

// Runs of blocks that nobody uses, in front of where the file would end without them.
class FreeRuns {
 public:
  FreeRuns(const SparseHeader& header, const GrainScan& scan)
      : used_(scan.used),
        grain_(header.layout.grain),
        blocks_(static_cast<uint64_t>(std::count(used_.begin(), used_.end(), true))) {}

  // Where the file would end, bytes.
  uint64_t end() const { return blocks_ * grain_; }

  // The next place with so much room, bytes; what was passed over is not looked at again.
  std::optional<uint64_t> take(uint64_t length) {
    while (run_.length < length) {
      if (!find_next()) return std::nullopt;
    }
    const uint64_t at = run_.offset;
    run_ = {at + length, run_.length - length};
    return at;
  }

 private:
  bool find_next() {
    while (next_ < blocks_ && used_[next_]) ++next_;
    if (next_ >= blocks_) return false;
    run_ = {next_ * grain_, 0};
    for (; next_ < blocks_ && !used_[next_]; ++next_) run_.length += grain_;
    return true;
  }

  const std::vector<bool>& used_;
  const uint64_t grain_, blocks_;
  uint64_t next_ = 0;
  Range run_;
};

bool moves(const SparseHeader& header, const FreeRuns& free, const Range& where) {
  return where.offset >= header.layout.first_grain && where.end() > free.end();
}

Result<void> copy_range(File& file, Range from, uint64_t to) {
  std::vector<std::byte> piece;
  while (!from.empty()) {
    piece.resize(std::min(from.length, MiB));
    TRY(file.read_padded(from.offset, piece));
    TRY(file.write(to, piece));
    from = {from.offset + piece.size(), from.length - piece.size()};
    to += piece.size();
  }
  return {};
}

Result<void> write_sector_number(File& file, uint64_t at, uint64_t place) {
  return file.write(at, as_bytes_of(le32(static_cast<uint32_t>(place / kSector))));
}

bool says_nothing(std::span<const le32> table) {
  return std::ranges::all_of(table, [](uint32_t entry) { return entry == kNoGrain; });
}

}  // namespace

Result<std::vector<TablePair>> empty_tables(const File& file, const SparseHeader& header,
                                            const GrainScan& scan) {
  std::vector<TablePair> empty;
  const GrainLayout& layout = header.layout;
  if (scan.places.pairs().size() == layout.entries) return empty;
  TRY(for_each_table(file, header, scan.places,
                     [&](const TablePair& pair, std::span<const le32> table,
                         std::span<const le32> /*redundant*/) -> Result<void> {
                       const bool behind =
                           pair.table >= layout.first_grain &&
                           (pair.redundant == 0 || pair.redundant >= layout.first_grain);
                       // The two are the same.
                       if (behind && says_nothing(table)) empty.push_back(pair);
                       return {};
                     }));
  return empty;
}

Result<void> drop_tables(File& file, const SparseHeader& header, std::span<const TablePair> pairs) {
  const GrainLayout& layout = header.layout;
  for (const TablePair& pair : pairs) {
    const uint64_t at = pair.index * sizeof(le32);
    if (pair.redundant != 0) TRY(write_sector_number(file, layout.redundant + at, 0));
    TRY(write_sector_number(file, layout.directory + at, 0));
  }
  return file.sync();
}

std::optional<DirectoryMove> moves_of_directories(const SparseHeader& header,
                                                  const GrainScan& scan) {
  const GrainLayout& layout = header.layout;
  FreeRuns free(header, scan);
  const uint64_t length = in_whole_sectors(layout.directory_range().length);
  DirectoryMove move{layout.directory, layout.redundant};
  const auto try_to_move = [&](uint64_t& place) {
    if (place == 0 || !moves(header, free, {place, length})) return;
    place = free.take(length).value_or(place);
  };
  try_to_move(move.redundant);
  try_to_move(move.directory);
  if (move.directory == layout.directory && move.redundant == layout.redundant) return {};
  return move;
}

Result<void> move_directories(File& file, const SparseHeader& header, const DirectoryMove& move) {
  const GrainLayout& layout = header.layout;
  if (move.directory != layout.directory) {
    TRY(copy_range(file, layout.directory_range(), move.directory));
  }
  if (move.redundant != layout.redundant) {
    TRY(copy_range(file, layout.redundant_range(), move.redundant));
  }
  TRY(file.sync());
  // One write inside the first sector of the file.
  auto raw = TRY(file.read_struct<RawSparseHeader>(0));
  raw.gd_offset = move.directory / kSector;
  if (move.redundant != 0) raw.rgd_offset = move.redundant / kSector;
  constexpr size_t kFrom = offsetof(RawSparseHeader, rgd_offset);
  constexpr size_t kTo = offsetof(RawSparseHeader, overhead);
  TRY(file.write(kFrom, as_bytes_of(raw).subspan(kFrom, kTo - kFrom)));
  return file.sync();
}

std::vector<TableMove> moves_of_tables(const SparseHeader& header, const GrainScan& scan) {
  const GrainLayout& layout = header.layout;
  FreeRuns free(header, scan);
  const uint64_t length = in_whole_sectors(layout.table_bytes());
  std::vector<TableMove> planned;
  const auto try_to_move = [&](uint64_t table, uint64_t entry) {
    if (table == 0 || !moves(header, free, {table, length})) return;
    if (const auto to = free.take(length)) planned.push_back({table, *to, entry});
  };
  for (const TablePair& pair : scan.places.pairs()) {
    try_to_move(pair.redundant, layout.redundant + pair.index * sizeof(le32));
    try_to_move(pair.table, layout.directory + pair.index * sizeof(le32));
  }
  return planned;
}

Result<void> move_tables(File& file, const SparseHeader& header, std::span<const TableMove> moves) {
  for (const TableMove& move : moves) {
    TRY(copy_range(file, {move.from, header.layout.table_bytes()}, move.to));
  }
  TRY(file.sync());
  for (const TableMove& move : moves) TRY(write_sector_number(file, move.entry, move.to));
  return file.sync();
}

}  // namespace platter::vmdk
