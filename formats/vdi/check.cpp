#include "formats/vdi/check.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vdi/moves.h"

namespace platter::vdi {
namespace {

// Blocks that are used, counted by the header, or in the file to their last byte: all but the used
// ones are leaked.
uint64_t kept(const Parsed& header, const MapScan& scan) {
  const uint64_t data = scan.file_size - std::min(scan.file_size, header.data_offset);
  return std::max({uint64_t{header.blocks_allocated}, scan.in_use.end(), data / header.stride()});
}

// Entries that cannot be right become free: the lowest one keeps a block that several have.
Result<void> free_bad_entries(File& file, const Parsed& header) {
  using Found = BlocksInUse::Found;
  BlocksInUse in_use(header.blocks_in(TRY(file.stat()).size));
  return for_each_piece(file, header, [&](uint64_t first, std::span<le32> piece) -> Result<void> {
    bool changed = false;
    for (le32& entry : piece) {
      const Found found = in_use.add(entry);
      if (found != Found::outside && found != Found::shared) continue;
      entry = kFree;
      changed = true;
    }
    if (!changed) return {};
    return file.write(header.map_offset + 4 * first, std::as_bytes(piece));
  });
}

}  // namespace

void report_faults(const Parsed& header, const MapScan& scan, CheckReport& report) {
  report.blocks = header.blocks;
  for (const MapScan::Fault& fault : scan.outside) {
    report.corruption(
        fmt::format("block map: entry {} points at block {}, past the end of the file", fault.entry,
                    fault.number));
  }
  for (const MapScan::Fault& fault : scan.shared) {
    report.corruption(fmt::format("block map: entry {} points at block {}, which another has",
                                  fault.entry, fault.number));
  }
  report.corruptions += scan.outside_count - scan.outside.size();
  report.corruptions += scan.shared_count - scan.shared.size();
  if (const auto block = scan.overwritten_by(header, header.blocks_allocated)) {
    report.corruption(
        fmt::format("header: counts {} blocks, but block {} is in use: the next "
                    "program to write may overwrite it",
                    header.blocks_allocated, *block));
  }
  if (const uint64_t count = kept(header, scan) - scan.in_use.count(); count != 0) {
    report.leak(fmt::format("{} blocks of the file are not used", count));
    report.leaks = count;
  }
}

Result<void> repair(File& file, const Parsed& header, Repair how, CheckReport& report) {
  if (how == Repair::none) return {};
  // What was looked at may be newer than what a power cut would leave.
  if (report.corruptions + report.leaks == 0) return file.sync();
  if (how == Repair::leaks && report.corruptions != 0) {
    return Error(Errc::corrupt, "has more than leaks: --repair all is needed");
  }
  TRY(free_bad_entries(file, header));
  const MapScan scan = TRY(scan_map(file, header));
  const std::vector<Move> moves = TRY(moves_into_gaps(file, header, scan.in_use));
  TRY(move_blocks(file, header, moves));
  // A count that is larger than the file, should the file be cut first, is a leak.
  TRY(write_count(file, scan.in_use.count()));
  const uint64_t end = header.data_offset + scan.in_use.count() * header.stride();
  if (scan.file_size > end) TRY(file.resize(end));
  TRY(file.sync());
  report.repaired += report.corruptions + report.leaks;
  report.corruptions = 0;
  report.leaks = 0;
  return {};
}

}  // namespace platter::vdi
