#include "formats/vhd/check.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhd/fill.h"
#include "formats/vhd/footer.h"
#include "formats/vhd/mend.h"
#include "formats/vhd/moves.h"
#include "formats/vhd/unmarked.h"

namespace platter::vhd {
namespace {

void report_table(const TableScan& scan, CheckReport& report) {
  for (const BlockAt& block : scan.outside) {
    report.corruption(
        fmt::format("block allocation table: entry {} points at sector {}, where no block can be",
                    block.entry, block.sector));
  }
  for (const BlockAt& block : scan.overlapped) {
    report.corruption(
        fmt::format("block allocation table: entry {} points at sector {}, where another block is",
                    block.entry, block.sector));
  }
  report.corruptions += scan.outside_count - scan.outside.size();
  report.corruptions += scan.overlapped_count - scan.overlapped.size();
  if (scan.end > scan.data_end) {
    report.corruption(fmt::format("truncated: the blocks end at {}, the data of the file at {}",
                                  scan.end, scan.data_end));
  }
}

void report_headers(const Parsed& p, CheckReport& report) {
  if (!p.footer_sound) report.corruption("footer: the checksum is wrong");
  if (!p.header_sound) report.corruption("dynamic header: the checksum is wrong");
  if (!p.trailing) {
    report.corruption("the footer at the end is missing or damaged");
  } else if (!p.copy_fits) {
    // The one at the end is what counts: nothing is lost by it.
    report.leak("the copy of the footer at the start is not the same");
  }
}

Result<TableScan> look(const File& file, const Parsed& parsed, CheckReport& report) {
  report.blocks = parsed.blocks();
  report_headers(parsed, report);
  TableScan scan = TRY(scan_table(file, parsed));
  report_table(scan, report);
  if (const uint64_t unused = scan.unused(parsed.stride()); unused != 0) {
    report.leak(fmt::format("{} blocks of the file are not used", unused));
    report.leaks += unused - 1;
  }
  TRY(find_unmarked(file, parsed, scan, report));
  return scan;
}

void look_fixed(const Parsed& p, CheckReport& report) {
  if (!p.footer_sound) report.corruption("footer: the checksum is wrong");
  const uint64_t size = p.footer.current_size;
  if (p.data_end < p.disk_size) {
    report.corruption(fmt::format("truncated: the file holds {} bytes of the disk, which has {}",
                                  p.data_end, p.disk_size));
  } else if (p.data_end > size) {
    report.leak(fmt::format("{} bytes behind the disk are not used", p.data_end - size));
  }
}

// What is left of the findings is what a look at the repaired file finds.
void replace_findings(const CheckReport& left, CheckReport& report) {
  const uint64_t before = report.corruptions + report.leaks;
  const uint64_t after = left.corruptions + left.leaks;
  report.repaired += before - std::min(before, after);
  report.corruptions = left.corruptions;
  report.leaks = left.leaks;
}

// Whether there is anything to repair.
Result<bool> expect_allowed(File& file, Repair how, const CheckReport& report) {
  if (report.corruptions + report.leaks == 0) {
    // What was looked at may be newer than what a power cut would leave.
    TRY(file.sync());
    return false;
  }
  if (how == Repair::leaks && report.corruptions != 0) {
    return Error(Errc::corrupt, "has more than leaks: --repair all is needed");
  }
  return true;
}

class DynamicRepair {
 public:
  DynamicRepair(File& file, const Parsed& parsed, const TableScan& scan)
      : file_(file), parsed_(parsed), scan_(scan), footer_(sealed(parsed.footer)) {}

  Result<void> run() {
    TRY(free_bad_entries());
    TRY(mend_end());
    TRY(mend_header());
    TRY(mark_all(file_, parsed_, scan_));
    TRY(move_blocks(file_, parsed_, moves_into_gaps(scan_, parsed_.stride())));
    const Parsed now = TRY(parse(file_));
    const TableScan left = TRY(scan_table(file_, now));
    if (left.end < now.data_end) TRY(cut_behind(file_, footer_, left.end));
    TRY(file_.write(0, as_bytes_of(footer_)));
    return file_.sync();
  }

 private:
  Result<void> free_bad_entries() {
    if (scan_.outside_count + scan_.overlapped_count == 0) return {};
    return for_each_piece(
        file_, parsed_, [&](uint64_t first, std::span<be32> piece) -> Result<void> {
          bool changed = false;
          for (size_t i = 0; i < piece.size(); ++i) {
            if (piece[i] == kUnused) continue;
            if (scan_.contains({piece[i], static_cast<uint32_t>(first + i)})) continue;
            piece[i] = kUnused;
            changed = true;
          }
          if (!changed) return {};
          return file_.write(parsed_.table_offset + 4 * first, std::as_bytes(piece));
        });
  }

  // A footer stands at the end, with all blocks in front of it.
  Result<void> mend_end() {
    const bool cut = scan_.end > parsed_.data_end;
    const bool there = parsed_.trailing && parsed_.data_end % kSector == 0;
    if (there && !cut) {
      return parsed_.footer_sound ? Result<void>()
                                  : move_footer_back(file_, footer_, parsed_.data_end);
    }
    const uint64_t tail = std::max(scan_.end, align_up(parsed_.file_size, kSector));
    TRY(move_footer_back(file_, footer_, tail));
    if (!cut) return {};
    // The old one is no part of the block it lies in.
    return fill_range(file_, {parsed_.data_end, parsed_.file_size - parsed_.data_end},
                      std::byte{0});
  }

  Result<void> mend_header() {
    if (parsed_.header_sound) return {};
    const be32 checksum = sealed(parsed_.header).checksum;
    return file_.write(parsed_.header_offset + offsetof(DynamicHeader, checksum),
                       as_bytes_of(checksum));
  }

  File& file_;
  const Parsed& parsed_;
  const TableScan& scan_;
  const Footer footer_;
};

}  // namespace

Result<void> check_dynamic(File& file, const Parsed& parsed, Repair how, CheckReport& report) {
  const TableScan scan = TRY(look(file, parsed, report));
  if (how == Repair::none || !TRY(expect_allowed(file, how, report))) return {};
  TRY(DynamicRepair(file, parsed, scan).run());
  const Parsed now = TRY(parse(file));
  CheckReport left;
  TRY(look(file, now, left));
  replace_findings(left, report);
  return {};
}

Result<void> check_fixed(File& file, const Parsed& parsed, Repair how, CheckReport& report) {
  look_fixed(parsed, report);
  if (how == Repair::none || !TRY(expect_allowed(file, how, report))) return {};
  const Footer footer = sealed(parsed.footer);
  if (!parsed.footer_sound) TRY(move_footer_back(file, footer, parsed.data_end));
  if (parsed.data_end > footer.current_size) TRY(cut_behind(file, footer, footer.current_size));
  TRY(file.sync());
  const Parsed now = TRY(parse(file));
  CheckReport left;
  look_fixed(now, left);
  replace_findings(left, report);
  return {};
}

}  // namespace platter::vhd
