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

Result<void> move_blocks(File& file, const Parsed& parsed, const std::vector<Move>& moves) {
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
