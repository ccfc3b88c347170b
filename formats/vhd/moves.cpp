#include "formats/vhd/moves.h"

#include <algorithm>

#include "formats/vhd/fill.h"

namespace platter::vhd {
namespace {

Result<void> copy_block(File& file, const Parsed& parsed, const Move& move) {
  const uint64_t stride = parsed.stride();
  std::vector<std::byte> piece;
  for (uint64_t at = 0; at < stride; at += piece.size()) {
    piece.resize(std::min(MiB, stride - at));
    TRY(file.read_padded(move.from.offset() + at, piece));
    TRY(file.write(move.to + at, piece));
  }
  return {};
}

}  // namespace

std::vector<Move> moves_into_gaps(const TableScan& scan, uint64_t stride) {
  std::vector<BlockAt> moving;
  std::vector<uint64_t> places;
  auto last = scan.blocks.rbegin();
  for (Range gap : scan.gaps) {
    for (; gap.length >= stride && last != scan.blocks.rend() && last->offset() > gap.offset;
         ++last) {
      moving.push_back(*last);
      places.push_back(gap.offset);
      gap = {gap.offset + stride, gap.length - stride};
    }
  }
  std::ranges::sort(moving, {}, &BlockAt::entry);
  std::vector<Move> moves;
  for (size_t i = 0; i < moving.size(); ++i) moves.push_back({moving[i], places[i]});
  return moves;
}

Result<void> move_blocks(File& file, const Parsed& parsed, std::span<const Move> moves) {
  if (moves.empty()) return {};
  for (const Move& move : moves) TRY(copy_block(file, parsed, move));
  TRY(file.sync());
  for (const Move& move : moves) {
    const be32 sector(static_cast<uint32_t>(move.to / kSector));
    TRY(file.write(parsed.table_offset + 4 * uint64_t{move.from.entry}, as_bytes_of(sector)));
  }
  return file.sync();
}

Result<void> free_entries(File& file, const Parsed& parsed, uint64_t first, uint64_t end) {
  if (first >= end) return {};
  return fill_range(file, {parsed.table_offset + 4 * first, 4 * (end - first)}, std::byte{0xff});
}

}  // namespace platter::vhd
