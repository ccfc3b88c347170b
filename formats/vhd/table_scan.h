// One pass over a block allocation table: which blocks there are, and what is free between them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "formats/vhd/parse.h"

namespace platter::vhd {

// The table in pieces of 64 KiB, first to last. first: the entry the piece begins with.
using VisitPiece = std::function<Result<void>(uint64_t first, std::span<be32> piece)>;
Result<void> for_each_piece(const File& file, const Parsed& parsed, const VisitPiece& visit);

struct BlockAt {
  uint32_t sector = 0;  // where its bitmap begins
  uint32_t entry = 0;   // of the table, which says so
  uint64_t offset() const { return sector * kSector; }
  friend auto operator<=>(const BlockAt&, const BlockAt&) = default;
};

// Memory: 8 bytes a block of the file.
struct TableScan {
  // Those that do not overlap, by sector; of several in one place the one of the lowest entry.
  std::vector<BlockAt> blocks;
  // Entries that cannot be right. At most kMaxFaults of each kind are kept, all are counted.
  static constexpr size_t kMaxFaults = 100;
  std::vector<BlockAt> outside;     // begins past the data's end, or over the headers
  std::vector<BlockAt> overlapped;  // shares bytes with one of the blocks
  uint64_t outside_count = 0, overlapped_count = 0;
  // Behind the last block, and the headers, the table and the locators; a multiple of a sector.
  uint64_t end = 0;
  uint64_t data_end = 0;  // as Parsed has it
  // Between all of these and in front of data_end, each with room for a block or more, in order.
  std::vector<Range> gaps;

  bool contains(const BlockAt& block) const;
  // Blocks that would fit into the gaps.
  uint64_t unused(uint64_t stride) const;
  // Errc::corrupt when an entry cannot be right, or a block is cut by the end of the file: what
  // seems free might not be.
  Result<void> expect_sound() const;
};

Result<TableScan> scan_table(const File& file, const Parsed& parsed);

}  // namespace platter::vhd
