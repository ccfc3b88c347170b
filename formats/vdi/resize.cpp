// One write of one sector of the header switches from the old disk to the new one; until then the
// old map at its old place says where everything is. See README.md.
#include "formats/vdi/resize.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vdi/check.h"
#include "formats/vdi/map_scan.h"
#include "formats/vdi/moves.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::vdi {
namespace {

// What the header will say.
struct Plan {
  uint64_t disk_size = 0;  // bytes
  uint64_t blocks = 0;
  uint64_t map_offset = 0, data_offset = 0;
  // Blocks the data begins later: they move away, and all numbers become that much smaller.
  uint64_t shift = 0;
};

Result<Plan> plan(const Parsed& h, uint64_t size) {
  if (size > kMaxOffset - h.block_size) {
    return Error(Errc::invalid, fmt::format("a VDI of {} bytes is not possible", size));
  }
  Plan p{.disk_size = align_up(size, kSectorSize),
         .blocks = std::max<uint64_t>(h.blocks, div_up(size, h.block_size)),
         .map_offset = h.map_offset,
         .data_offset = h.data_offset};
  if (!fits(p.map_offset, 4 * p.blocks, p.data_offset)) {
    // Behind the old map, which stays whole.
    p.map_offset = align_up(h.map_offset + 4 * uint64_t{h.blocks}, kSectorSize);
    p.shift = div_up(p.map_offset + 4 * p.blocks - p.data_offset, h.stride());
    p.data_offset += p.shift * h.stride();
  }
  if (p.data_offset > 0xffffffff) {
    return Error(Errc::invalid,
                 fmt::format("a VDI of {} with blocks of {}: its block map would be too large",
                             human_size(size), human_size(h.block_size)));
  }
  return p;
}

// The last block of the disk goes on behind it, with whatever its writer left there.
Result<void> zero_behind_the_disk(File& file, const Parsed& h) {
  const uint64_t inside = h.disk_size % h.block_size;
  if (inside == 0) return {};
  const uint64_t entry = h.disk_size / h.block_size;
  const uint32_t number = TRY(file.read_struct<le32>(h.map_offset + 4 * entry));
  if (number >= kZero) return {};
  const std::vector<std::byte> zeroes(std::min<uint64_t>(h.block_size - inside, MiB));
  for (uint64_t at = inside; at < h.block_size;) {
    const size_t n = std::min<uint64_t>(zeroes.size(), h.block_size - at);
    TRY(file.write(h.host_of(number) + at, Bytes(zeroes).first(n)));
    at += n;
  }
  return {};
}

// Moves of the blocks whose numbers are below `blocks` to free numbers from `to` on, which ends
// behind the last of these.
Result<std::vector<Move>> moves_from_below(const File& file, const Parsed& h,
                                           const BlocksInUse& in_use, uint64_t blocks,
                                           uint64_t& to) {
  std::vector<Move> moves;
  TRY(for_each_piece(file, h, [&](uint64_t first, std::span<le32> piece) -> Result<void> {
    for (size_t i = 0; i < piece.size(); ++i) {
      if (piece[i] >= blocks) continue;
      while (in_use.contains(to)) ++to;
      if (to >= kZero) return Error(Errc::no_space, "block map: no numbers are left");
      moves.push_back({first + i, piece[i], static_cast<uint32_t>(to++)});
    }
    return {};
  }));
  return moves;
}

// No block in use has a higher number than there are blocks in use, and the header counts them.
Result<void> close_gaps(File& file) {
  const Parsed h = TRY(parse(file));
  CheckReport report;
  report_faults(h, TRY(scan_map(file, h)), report);
  if (report.corruptions + report.leaks == 0) return {};
  return repair(file, h, Repair::all, report);
}

// The header's count is no larger than the map. So the blocks go behind everything that could be
// appended by a count of those that are in use, which is what the header says without gaps.
Result<void> move_beyond_the_count(File& file, uint64_t blocks) {
  TRY(close_gaps(file));
  const Parsed h = TRY(parse(file));
  const MapScan scan = TRY(scan_map(file, h));
  uint64_t to = std::max<uint64_t>(h.blocks, blocks);
  const std::vector<Move> moves = TRY(moves_from_below(file, h, scan.in_use, blocks, to));
  return move_blocks(file, h, moves);
}

// The first blocks of the file change places with nobody: they go to free numbers behind them.
// True: there are gaps now.
Result<bool> clear_first_blocks(File& file, const Parsed& h, uint64_t blocks) {
  const MapScan scan = TRY(scan_map(file, h));
  uint64_t to = blocks;
  const std::vector<Move> moves = TRY(moves_from_below(file, h, scan.in_use, blocks, to));
  const uint64_t end = std::max(scan.in_use.end(), moves.empty() ? 0 : to);
  if (end > h.blocks) {
    TRY(move_beyond_the_count(file, blocks));
    return true;
  }
  // The count goes first: it never is too small.
  if (end > h.blocks_allocated) TRY(write_count(file, end));
  TRY(move_blocks(file, h, moves));
  return false;
}

class NewMap {
 public:
  NewMap(File& file, const Parsed& header, const Plan& plan)
      : file_(file), header_(header), plan_(plan) {}

  // Writes the entries that are new or have changed; gives the end of the blocks in use, by their
  // new numbers.
  Result<uint64_t> write() {
    TRY(for_each_piece(file_, header_, [&](uint64_t first, std::span<le32> piece) -> Result<void> {
      for (size_t i = 0; i < piece.size(); ++i) piece[i] = renumbered(first + i, piece[i]);
      return file_.write(plan_.map_offset + 4 * first, std::as_bytes(piece));
    }));
    const std::vector<le32> piece(16 * KiB, le32(unused()));
    for (uint64_t first = header_.blocks; first < plan_.blocks; first += piece.size()) {
      const uint64_t n = std::min<uint64_t>(piece.size(), plan_.blocks - first);
      TRY(file_.write(plan_.map_offset + 4 * first, std::as_bytes(std::span(piece).first(n))));
    }
    return end_;
  }

 private:
  // A child hides what a larger parent has there.
  uint32_t unused() const { return header_.type == Type::differencing ? kZero : kFree; }

  uint32_t renumbered(uint64_t entry, uint32_t value) {
    // A map may have more entries than its disk has blocks.
    if (entry >= div_up(header_.disk_size, header_.block_size)) return unused();
    if (value >= kZero) return value;
    const uint64_t number = value - plan_.shift;
    end_ = std::max(end_, number + 1);
    return static_cast<uint32_t>(number);
  }

  File& file_;
  const Parsed& header_;
  const Plan& plan_;
  uint64_t end_ = 0;
};

// One write inside the first sector of the file.
Result<void> write_header(File& file, const Plan& plan, uint64_t count) {
  constexpr size_t kFrom = offsetof(Header1, map_offset), kTo = offsetof(Header1, uuid);
  static_assert(sizeof(PreHeader) + kTo <= kSectorSize);
  Header1 header;
  const auto bytes = std::as_writable_bytes(std::span(&header, 1)).subspan(kFrom, kTo - kFrom);
  TRY(file.read_exact(sizeof(PreHeader) + kFrom, bytes));
  header.map_offset = static_cast<uint32_t>(plan.map_offset);
  header.data_offset = static_cast<uint32_t>(plan.data_offset);
  header.disk_size = plan.disk_size;
  header.blocks = static_cast<uint32_t>(plan.blocks);
  header.blocks_allocated = static_cast<uint32_t>(count);
  return file.write(sizeof(PreHeader) + kFrom, bytes);
}

Result<void> check_possible(const Parsed& h, uint64_t size) {
  if (h.type == Type::fixed) return Error(Errc::unsupported, "a static VDI cannot be resized");
  if (size < h.disk_size) {
    return Error(Errc::unsupported,
                 fmt::format("a VDI can only grow: it has {} bytes already", h.disk_size));
  }
  return {};
}

}  // namespace

Result<void> resize(File& file, const Parsed& header, uint64_t size) {
  // An earlier resize to this size need not be durable yet.
  if (align_up(std::min(size, kMaxOffset), kSectorSize) == header.disk_size) return file.sync();
  TRY(check_possible(header, size));
  const Plan p = TRY(plan(header, size));
  const MapScan scan = TRY(scan_map(file, header));
  TRY(scan.expect_sound());
  TRY(zero_behind_the_disk(file, header));
  const bool gaps = p.shift != 0 && TRY(clear_first_blocks(file, header, p.shift));
  const uint64_t end = TRY(NewMap(file, header, p).write());
  const uint64_t count = std::min(end, p.blocks);
  const uint64_t file_size = p.data_offset + count * header.stride();
  if (TRY(file.stat()).size < file_size) TRY(file.resize(file_size));
  TRY(file.sync());
  TRY(write_header(file, p, count));
  TRY(file.sync());
  return gaps ? close_gaps(file) : Result<void>();
}

}  // namespace platter::vdi
