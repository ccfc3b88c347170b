#include "formats/vmdk/grain_moves.h"

#include <algorithm>

namespace platter::vmdk {
namespace {

Result<void> copy_grain(File& file, uint64_t grain, const GrainMove& move) {
  std::vector<std::byte> piece(std::min(grain, MiB));
  for (uint64_t at = 0; at < grain; at += piece.size()) {
    // The last grain of the file may be short.
    TRY(file.read_padded(move.from + at, piece));
    TRY(file.write(move.to + at, piece));
  }
  return {};
}

}  // namespace

Result<std::vector<GrainMove>> moves_into_gaps(const File& file, const SparseHeader& header,
                                               GrainScan& scan) {
  const GrainLayout& layout = header.layout;
  const auto count = static_cast<uint64_t>(std::count(scan.used.begin(), scan.used.end(), true));
  std::vector<GrainMove> moves;
  uint64_t gap = 0;
  TRY(for_each_table(file, header, scan.places,
                     [&](const TablePair& pair, std::span<const le32> table,
                         std::span<const le32> /*redundant*/) -> Result<void> {
                       for (size_t i = 0; i < table.size(); ++i) {
                         const uint64_t host = table[i] * kSector;
                         if (layout.kind_of(table[i]) != GrainLayout::Entry::grain) continue;
                         if (host % layout.grain != 0 || host / layout.grain < count) continue;
                         while (gap < scan.used.size() && scan.used[gap]) ++gap;
                         if (gap >= host / layout.grain) continue;
                         const uint64_t at = i * sizeof(le32);
                         moves.push_back({host, gap * layout.grain, pair.table + at,
                                          pair.redundant == 0 ? 0 : pair.redundant + at});
                         scan.used[gap++] = true;
                         scan.used[host / layout.grain] = false;
                       }
                       return {};
                     }));
  return moves;
}

Result<void> move_grains(File& file, uint64_t grain, std::span<const GrainMove> moves) {
  for (const GrainMove& move : moves) TRY(copy_grain(file, grain, move));
  TRY(file.sync());
  for (const GrainMove& move : moves) {
    const le32 sector(static_cast<uint32_t>(move.to / kSector));
    if (move.redundant != 0) TRY(file.write(move.redundant, as_bytes_of(sector)));
    TRY(file.write(move.entry, as_bytes_of(sector)));
  }
  return file.sync();
}

Result<void> cut_behind_grains(File& file, const SparseHeader& header) {
  const uint64_t used_end = TRY(scan_grains(file, header)).used_end;
  const uint64_t end = align_up(used_end, header.layout.grain);
  return TRY(file.stat()).size <= end ? Result<void>() : file.resize(end);
}

}  // namespace platter::vmdk
