// Every step leaves the same disk, and no more than leaks: an entry says that its block is zero
// before another one is copied there, and a block is in its new place before its entry says so.
#include "formats/vdi/compact.h"

#include "formats/vdi/changes.h"
#include "formats/vdi/check.h"
#include "formats/vdi/moves.h"
#include "lib/image/compaction.h"
#include "lib/io/zero_runs.h"

namespace platter::vdi {
namespace {

Result<void> expect_dynamic(const Parsed& header) {
  TRY(Changes::check_supported(header));
  if (header.type != Type::fixed) return {};
  return Error(Errc::unsupported,
               "a static VDI keeps a place for every block: there is nothing to give back");
}

// What a resize that was cut short leaves beyond what the header can count.
Result<void> bring_below_the_count(File& file, const Parsed& header, const MapScan& scan) {
  CheckReport report;
  report_faults(header, scan, report);
  return repair(file, header, Repair::all, report);
}

class Compacting {
 public:
  Compacting(File& file, const Parsed& header, Progress& progress, const MapScan& scan)
      : file_(file),
        header_(header),
        count_(header.blocks_allocated),
        compaction_(progress, scan.in_use.count() * header.stride()) {}

  Result<void> run(const MapScan& scan) {
    // Blocks move to any number below: none of them may look free to other programs.
    if (scan.in_use.end() > count_) TRY(say_count(scan.in_use.end()));
    TRY(give_up_zeroes());
    TRY(file_.sync());
    const MapScan left = TRY(scan_map(file_, header_));
    const std::vector<Move> moves = TRY(moves_into_gaps(file_, header_, left.in_use));
    TRY(compaction_.in_steps(moves, header_.stride(), [this](std::span<const Move> some) {
      return move_blocks(file_, header_, some);
    }));
    return cut(left.in_use.count());
  }

 private:
  Result<void> say_count(uint64_t count) {
    TRY(write_count(file_, count));
    count_ = count;
    return {};
  }

  // What of an entry's block is in the disk; nothing of those behind it.
  Range seen_of(uint64_t entry, uint32_t number) const {
    const uint64_t guest = entry * header_.block_size;
    const uint64_t behind = header_.disk_size - std::min(guest, header_.disk_size);
    return {header_.host_of(number), std::min<uint64_t>(header_.block_size, behind)};
  }

  Result<void> give_up_zeroes() {
    return for_each_piece(
        file_, header_, [&](uint64_t first, std::span<le32> piece) -> Result<void> {
          bool changed = false;
          for (size_t i = 0; i < piece.size(); ++i) {
            if (piece[i] >= kZero) continue;
            TRY(compaction_.looked_at(header_.stride()));
            if (!TRY(reads_as_zeroes(file_, seen_of(first + i, piece[i])))) continue;
            piece[i] = kZero;
            changed = true;
          }
          if (!changed) return {};
          return file_.write(header_.map_offset + 4 * first, std::as_bytes(piece));
        });
  }

  // A count that is larger than the file, should the file be cut first, is a leak.
  Result<void> cut(uint64_t blocks) {
    if (count_ != blocks) TRY(say_count(blocks));
    const uint64_t end = header_.data_offset + blocks * header_.stride();
    if (TRY(file_.stat()).size > end) TRY(file_.resize(end));
    return file_.sync();
  }

  File& file_;
  const Parsed& header_;
  uint64_t count_;  // what the header says
  Compaction compaction_;
};

}  // namespace

Result<void> compact(File& file, Progress& progress) {
  Parsed header = TRY(parse(file));
  TRY(expect_dynamic(header));
  MapScan scan = TRY(scan_map(file, header));
  TRY(scan.expect_sound());
  TRY(Compaction(progress, 0).go_on());
  if (scan.in_use.end() > header.blocks) {
    TRY(bring_below_the_count(file, header, scan));
    header = TRY(parse(file));
    scan = TRY(scan_map(file, header));
  }
  return Compacting(file, header, progress, scan).run(scan);
}

}  // namespace platter::vdi
