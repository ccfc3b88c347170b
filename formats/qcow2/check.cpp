#include "formats/qcow2/check.h"

#include <algorithm>

#include "formats/qcow2/repair.h"
#include "lib/base/checked.h"
#include "lib/image/luks_details.h"

namespace platter::qcow2 {
namespace {

void report_header(const CheckedImage& image, Findings& findings) {
  const Header& header = image.header;
  findings.dirty = header.dirty;
  if (header.marked_corrupt) findings.add(Fault::mark, "header: the image is marked as corrupt");
  if (!header.refcount_table_fault.empty()) {
    findings.add(Fault::refcount_table, "{}", header.refcount_table_fault);
  }
  if (!header.bitmaps_fault.empty()) findings.add(Fault::bitmaps, "{}", header.bitmaps_fault);
}

void report_luks(File& file, const Header& header, Findings& findings) {
  if (header.encryption != Encryption::luks) return;
  Result<LuksHeader> luks = parse_luks({.file = &file, .range = header.luks, .has_payload = false});
  if (!luks) return findings.add(Fault::lasting, "{}", luks.error().message());
  for (const std::string& fault : luks_faults(*luks)) findings.add(Fault::lasting, "{}", fault);
}

void report_snapshots(const CheckedImage& image, Census& census, Findings& findings) {
  for (const std::string& fault : {image.header.snapshot_table_fault, image.snapshots.fault}) {
    if (fault.empty()) continue;
    findings.add(Fault::snapshots, "{}", fault);
    findings.unfollowed = true;
  }
  for (const Snapshot& snapshot : image.snapshots.list) {
    if (snapshot.problem.empty()) continue;
    findings.add(Fault::lasting, "snapshot table entry {}: {}", snapshot.info.id - 1,
                 snapshot.problem);
    findings.unfollowed = true;
  }
  for (const size_t id : census.walk().overlapping()) {
    findings.add(Fault::lasting, "snapshot table entry {}: its L1 table overlaps others", id - 1);
    findings.unfollowed = true;
  }
}

// Whether something else is in a cluster of the table, which is changed in place.
void check_alone(const Table& table, Fault fault, const char* name, const RefcountMap& map,
                 const Header& header, Findings& findings) {
  if (table.entries == 0) return;
  const uint64_t first = table.offset >> header.cluster_bits;
  const uint64_t end = div_up(table.offset + table.entries * sizeof(be64), header.cluster_size());
  for (uint64_t i = std::max(first, map.first()); i < std::min(end, map.last()); ++i) {
    if (map.count(i) == 1) continue;
    findings.add(fault, "{}: shares the cluster at {:#x}", name, i << header.cluster_bits);
    return;
  }
}

void check_blocks_alone(const StoredRefcounts& stored, const RefcountMap& map, const Header& header,
                        Findings& findings) {
  for (size_t i = 0; i < stored.blocks().size(); ++i) {
    const uint64_t cluster = stored.blocks()[i] >> header.cluster_bits;
    if (cluster < std::max<uint64_t>(map.first(), 1) || cluster >= map.last()) continue;
    if (map.count(cluster) == 1) continue;
    findings.add(Fault::refcount_table,
                 "refcount table entry {}: its block shares the cluster at {:#x}", i,
                 stored.blocks()[i]);
  }
}

}  // namespace

Result<void> scan_image(File& file, const CheckedImage& image, Findings& findings) {
  const Header& header = image.header;
  report_header(image, findings);
  findings.end = div_up(header.file_size, header.cluster_size());
  if (header.nothing_left) {
    findings.add(Fault::lasting, "header: nothing of the file is left but its first cluster");
    return {};
  }
  report_luks(file, header, findings);
  Census census(file, image);
  report_snapshots(image, census, findings);
  const auto look = [&](RefcountMap& map, StoredRefcounts& stored) -> Result<void> {
    check_alone(header.l1, Fault::l1_shared, "L1 table", map, header, findings);
    check_alone(header.refcount_table, Fault::refcount_table, "refcount table", map, header,
                findings);
    check_alone(header.bitmap_directory, Fault::bitmaps, "bitmap directory", map, header, findings);
    check_blocks_alone(stored, map, header, findings);
    return compare_refcounts(stored, map, header, findings);
  };
  return census.for_each_window(&findings, look);
}

Result<void> check_image(File& file, Repair repair, CheckReport& report) {
  const CheckedImage image = TRY(load_for_check(file));
  report.blocks = div_up(image.header.size, image.header.cluster_size());
  Findings findings(report);
  TRY(scan_image(file, image, findings));
  if (repair == Repair::none) return {};
  return repair_image(file, findings, repair, report);
}

}  // namespace platter::qcow2
