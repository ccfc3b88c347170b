#include "formats/vdi/moves.h"

#include <algorithm>

namespace platter::vdi {
namespace {

Result<void> copy_block(File& file, const Parsed& header, const Move& move) {
  std::vector<std::byte> piece(std::min<uint64_t>(header.block_size, MiB));
  for (uint64_t at = 0; at < header.block_size; at += piece.size()) {
    // The last block of the file may be short.
    TRY(file.read_padded(header.host_of(move.from) + at, piece));
    TRY(file.write(header.host_of(move.to) + at, piece));
  }
  return {};
}

}  // namespace

Result<std::vector<Move>> moves_into_gaps(const File& file, const Parsed& header,
                                          const BlocksInUse& in_use) {
  std::vector<Move> moves;
  uint32_t gap = 0;
  TRY(for_each_piece(file, header, [&](uint64_t first, std::span<le32> piece) -> Result<void> {
    for (size_t i = 0; i < piece.size(); ++i) {
      if (piece[i] >= kZero || piece[i] < in_use.count()) continue;
      while (in_use.contains(gap)) ++gap;
      moves.push_back({first + i, piece[i], gap++});
    }
    return {};
  }));
  return moves;
}

Result<void> move_blocks(File& file, const Parsed& header, std::span<const Move> moves) {
  for (const Move& move : moves) TRY(copy_block(file, header, move));
  TRY(file.sync());
  for (const Move& move : moves) {
    TRY(file.write(header.map_offset + 4 * move.entry, as_bytes_of(le32(move.to))));
  }
  return file.sync();
}

Result<void> write_count(File& file, uint64_t count) {
  return file.write(kCountAt, as_bytes_of(le32(static_cast<uint32_t>(count))));
}

}  // namespace platter::vdi
