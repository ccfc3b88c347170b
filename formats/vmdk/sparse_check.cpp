#include "formats/vmdk/sparse_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/grain_codec.h"
#include "formats/vmdk/grain_repair.h"

namespace platter::vmdk {
namespace {

std::string_view words(GrainFault::What what) {
  switch (what) {
    case GrainFault::What::past_the_end: return "points past the end of the file";
    case GrainFault::What::metadata: return "points at metadata";
    case GrainFault::What::in_front: return "points in front of the first grain";
    case GrainFault::What::shared: return "points at a grain another one has";
  }
  return "";
}

std::string words(const DirectoryFault& fault) {
  return fmt::format("{}grain directory: entry {} {} ({:#x})", fault.redundant ? "redundant " : "",
                     fault.index, fault.what, fault.entry);
}

void report_faults(const SparseHeader& header, const GrainScan& scan, CheckReport& report) {
  // Whoever was cut off wrote one of two.
  const auto one_of_two = [&](std::string text) {
    header.layout.unclean ? report.leak(std::move(text)) : report.corruption(std::move(text));
  };
  for (const DirectoryFault& fault : scan.places.faults()) {
    fault.entry == 0 ? one_of_two(words(fault)) : report.corruption(words(fault));
  }
  for (const GrainFault& fault : scan.faults) {
    report.corruption(fmt::format("grain tables: the entry of grain {} {} ({:#x})", fault.grain,
                                  words(fault.what), fault.entry));
  }
  report.corruptions += scan.fault_count - scan.faults.size();
  for (const uint64_t index : scan.stale) {
    one_of_two(fmt::format("redundant grain table {}: is not what the other one is", index));
  }
  const auto unused = static_cast<uint64_t>(std::count(scan.used.begin(), scan.used.end(), false));
  if (unused == 0) return;
  report.leak(fmt::format("{} grains of the file are not used", unused));
  report.leaks += unused - 1;
}

// A compressed grain begins with its number and its length.
std::string fault_of_marker(const RawGrainMarker& marker, const SparseHeader& header,
                            uint64_t grain, uint64_t host) {
  const GrainLayout& layout = header.layout;
  if (marker.value != grain * (layout.grain / kSector)) {
    return fmt::format("is that of sector {}", uint64_t{marker.value});
  }
  const uint64_t stored = sizeof marker + uint64_t{marker.size};
  if (stored > GrainCodec::max_stored(layout.grain) || !fits(host, stored, header.file_size)) {
    return fmt::format("has {} bytes", uint32_t{marker.size});
  }
  return {};
}

Result<void> check_stream(const File& file, const SparseHeader& header, const TablePlaces& places,
                          CheckReport& report) {
  const GrainLayout& layout = header.layout;
  for (const DirectoryFault& fault : places.faults()) {
    // Streams have tables for what is in them, and none twice.
    if (fault.entry != 0 || !fault.redundant) report.corruption(words(fault));
  }
  return for_each_table(
      file, header, places,
      [&](const TablePair& pair, std::span<const le32> table,
          std::span<const le32> /*redundant*/) -> Result<void> {
        for (size_t i = 0; i < table.size(); ++i) {
          const uint64_t grain = pair.index * layout.table_entries + i;
          const auto kind = layout.kind_of(table[i]);
          if (kind == GrainLayout::Entry::none || kind == GrainLayout::Entry::zeroed) continue;
          const uint64_t host = table[i] * kSector;
          std::string fault;
          if (kind == GrainLayout::Entry::invalid) {
            fault = words(GrainFault::What::metadata);
          } else if (!fits(host, sizeof(RawGrainMarker), header.file_size)) {
            fault = words(GrainFault::What::past_the_end);
          } else if (layout.markers) {
            fault =
                fault_of_marker(TRY(file.read_struct<RawGrainMarker>(host)), header, grain, host);
          }
          if (!fault.empty()) {
            report.corruption(fmt::format("compressed grain {}: {}", grain, fault));
          }
        }
        return {};
      });
}

Result<void> repair_sparse(File& file, const SparseHeader& header, const CheckReport& found) {
  // What was looked at may be newer than what a power cut would leave.
  if (found.corruptions + found.leaks == 0) {
    TRY(file.sync());
    if (!header.layout.unclean) return {};
    TRY(clear_unclean(file));
    return file.sync();
  }
  TRY(mend_tables(file, header));
  TRY(close_gaps(file, header));
  TRY(clear_unclean(file));
  return file.sync();
}

}  // namespace

Result<void> check_sparse(File& file, const SparseHeader& header, Repair how, CheckReport& report) {
  report.blocks = header.layout.grains();
  if (header.footer_missing) {
    report.corruption("its footer is missing: grains are found by their markers alone");
    if (how == Repair::none) return {};
  }
  const bool only_looked_at = header.layout.compressed || header.magic != kSparseMagic;
  if (only_looked_at && how != Repair::none) {
    return Error(Errc::unsupported, header.layout.compressed
                                        ? "compressed extents cannot be repaired: convert it"
                                        : "extents of ESX cannot be repaired: convert it");
  }
  if (header.layout.compressed) {
    return check_stream(file, header, TRY(TablePlaces::find(file, header)), report);
  }
  report_faults(header, TRY(scan_grains(file, header)), report);
  // The header would go on saying that it lies where other bytes are then.
  if ((header.flags & kFlagRedundant) != 0 && header.layout.redundant == 0) {
    report.corruption("sparse header: one of its two grain directories is not there");
    if (how != Repair::none) {
      return Error(Errc::unsupported, "a grain directory is lost: cannot be repaired: convert it");
    }
  }
  if (how == Repair::leaks && report.corruptions != 0) {
    return Error(Errc::corrupt, "has more than leaks: --repair all is needed");
  }
  if (how == Repair::none) return {};
  TRY(repair_sparse(file, header, report));
  CheckReport left;
  const SparseHeader now = TRY(parse_sparse_header(file));
  report_faults(now, TRY(scan_grains(file, now)), left);
  report.repaired = report.corruptions - std::min(report.corruptions, left.corruptions);
  report.repaired += report.leaks - std::min(report.leaks, left.leaks);
  report.corruptions = left.corruptions;
  report.leaks = left.leaks;
  return {};
}

}  // namespace platter::vmdk
