#include "formats/vdi/map_scan.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter::vdi {
namespace {

constexpr uint64_t kEntriesAtOnce = 16 * KiB;

void note(std::vector<MapScan::Fault>& faults, uint64_t& count, MapScan::Fault fault) {
  ++count;
  if (faults.size() < MapScan::kMaxFaults) faults.push_back(fault);
}

}  // namespace

Result<void> for_each_piece(const File& file, const Parsed& header, const VisitPiece& visit) {
  std::vector<le32> piece;
  for (uint64_t first = 0; first < header.blocks; first += piece.size()) {
    piece.resize(std::min(kEntriesAtOnce, header.blocks - first));
    TRY(file.read_exact(header.map_offset + 4 * first, std::as_writable_bytes(std::span(piece))));
    TRY(visit(first, piece));
  }
  return {};
}

BlocksInUse::Found BlocksInUse::add(uint32_t entry) {
  if (entry >= kZero) return Found::no_block;
  if (entry >= used_by_one_.size()) return Found::outside;
  if (used_by_one_[entry]) return Found::shared;
  used_by_one_[entry] = true;
  ++count_;
  end_ = std::max<uint64_t>(end_, entry + uint64_t{1});
  return Found::block;
}

Result<void> MapScan::expect_sound() const {
  if (outside_count == 0 && shared_count == 0) return {};
  return Error(Errc::corrupt,
               fmt::format("block map: {} entries point outside the file, {} at a block another "
                           "has: repair it before changing it",
                           outside_count, shared_count));
}

// Blocks behind all that a header can count are what a resize leaves that was cut short: safe as
// long as there are not enough entries without a block to get there.
std::optional<uint64_t> MapScan::overwritten_by(const Parsed& header, uint64_t count) const {
  uint64_t end = in_use.end();
  if (end > header.blocks) end = std::min(end, count + (header.blocks - in_use.count()));
  for (uint64_t number = count; number < end; ++number) {
    if (in_use.contains(number)) return number;
  }
  return std::nullopt;
}

uint64_t MapScan::safe_count(const Parsed& header) const {
  if (in_use.end() <= header.blocks) return in_use.end();
  const uint64_t wanted = header.blocks - in_use.count();
  uint64_t best = header.blocks;
  uint64_t gap = 0;  // where one begins, perhaps an empty one
  for (uint64_t number = 0; number < in_use.end() && gap <= header.blocks; ++number) {
    if (!in_use.contains(number)) continue;
    if (number - gap >= wanted) best = gap;
    gap = number + 1;
  }
  return best;
}

Result<MapScan> scan_map(const File& file, const Parsed& header) {
  MapScan scan;
  scan.file_size = TRY(file.stat()).size;
  scan.in_use = BlocksInUse(header.blocks_in(scan.file_size));
  TRY(for_each_piece(file, header, [&](uint64_t first, std::span<le32> piece) -> Result<void> {
    for (size_t i = 0; i < piece.size(); ++i) {
      const MapScan::Fault fault{first + i, piece[i]};
      const auto found = scan.in_use.add(piece[i]);
      if (found == BlocksInUse::Found::outside) note(scan.outside, scan.outside_count, fault);
      if (found == BlocksInUse::Found::shared) note(scan.shared, scan.shared_count, fault);
    }
    return {};
  }));
  return scan;
}

}  // namespace platter::vdi
