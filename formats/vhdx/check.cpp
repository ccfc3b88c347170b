#include "formats/vhdx/check.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter::vhdx {
namespace {

bool header_is_bad(const Parsed& p) { return !p.headers.good[0] || !p.headers.good[1]; }

void report_regions(const Parsed& p, CheckReport& report) {
  for (size_t i = 0; i < 2; ++i) {
    if (p.regions.faults[i].empty()) continue;
    report.corruption(fmt::format("copy {} of the {}", i + 1, p.regions.faults[i]));
  }
  const bool both_right = p.regions.faults[0].empty() && p.regions.faults[1].empty();
  if (both_right && p.regions.copies_differ) {
    report.corruption("region table: its two copies differ");
  }
}

// Every second unit of a fixed image may be without a block: it has its full length all the same.
uint64_t leaked(const Parsed& p, const BlockScan& scan) {
  return p.items.fixed ? 0 : scan.unused_at_end();
}

// How many faults are gone; durable after the next sync.
Result<uint64_t> mend_copies(File& file, const Parsed& p) {
  uint64_t mended = 0;
  if (header_is_bad(p) || !p.log_fault.empty()) {
    mended += (header_is_bad(p) ? 1U : 0U) + (p.log_fault.empty() ? 0U : 1U);
    Headers headers = p.headers;
    Header clean = headers.current;
    clean.log = Uuid{};
    TRY(write_both_headers(file, headers, clean));
  }
  if (p.regions.copies_differ) {
    ++mended;
    // Over the one that nobody reads.
    const size_t bad = p.regions.faults[0].empty() ? 1 : 0;
    TRY(file.write(kRegionTablesAt[bad], p.regions.table));
  }
  return mended;
}

Result<void> mend_leaks(File& file, const Parsed& p, const BlockScan& scan, CheckReport& report) {
  // What seems unused might be what a wrong entry means.
  if (scan.fault_count != 0 || p.items.fixed) return {};
  if (scan.file_size > scan.in_use.end()) TRY(file.resize(scan.in_use.end()));
  give_back_gaps(file, scan.in_use, scan.in_use.end());
  report.repaired += report.leaks;
  report.leaks = 0;
  return {};
}

}  // namespace

Result<void> check_image(const File& shown, const Parsed& p, CheckReport& report) {
  report.blocks = p.shape().blocks();
  for (size_t i = 0; i < 2; ++i) {
    if (!p.headers.good[i]) report.corruption(fmt::format("header {}: is damaged", i + 1));
  }
  if (!p.log_fault.empty()) report.corruption(p.log_fault);
  report_regions(p, report);
  const BlockScan scan = TRY(scan_blocks(shown, p));
  for (const std::string& fault : scan.faults) report.corruption(fault);
  report.corruptions += scan.fault_count - scan.faults.size();
  if (const uint64_t units = leaked(p, scan); units != 0) {
    report.leak(fmt::format("{} MiB at the end of the file are not used", units));
    report.leaks = units;
  }
  return {};
}

Result<void> repair(File& file, const Parsed& header, Repair how, CheckReport& report) {
  if (how == Repair::none) return {};
  if (how == Repair::leaks && report.corruptions != 0) {
    return Error(Errc::corrupt, "has more than leaks: --repair all is needed");
  }
  const bool pending = !header.headers.current.log.is_nil() && header.log_fault.empty();
  const Parsed p = pending ? TRY(parse_for_change(file)) : header;
  const uint64_t mended = TRY(mend_copies(file, p));
  const BlockScan scan = TRY(scan_blocks(file, p));
  TRY(mend_leaks(file, p, scan, report));
  // What was looked at may be newer than what a power cut would leave.
  TRY(file.sync());
  // Replaying the log has written both headers anew.
  const uint64_t by_replay = pending && header_is_bad(header) ? 1 : 0;
  report.corruptions -= mended + by_replay;
  report.repaired += mended + by_replay;
  return {};
}

}  // namespace platter::vhdx
