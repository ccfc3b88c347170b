#include "formats/qcow2/check_census.h"

#include <algorithm>

#include "formats/qcow2/check_bitmaps.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

// How far behind the file a pointer matters to where new clusters may go: what grows over it would
// seem to be what it points at.
constexpr uint64_t kStrayBytes = 16 * GiB;

}  // namespace

Result<CheckedImage> load_for_check(const File& file) {
  CheckedImage image;
  image.header = TRY(parse_header(file, Damage::kept));
  image.snapshots = TRY(read_snapshot_table(file, image.header));
  return image;
}

Census::Census(File& file, const CheckedImage& image)
    : file_(file),
      image_(image),
      shape_(shape_of(image.header)),
      walk_(file, image.header, image.snapshots.list) {}

void Census::hold(const Range& bytes, uint64_t uses, Pointer kind) {
  if (bytes.empty()) return;
  const uint64_t last = (bytes.end() - 1) >> shape_.cluster_bits;
  for (uint64_t cluster = bytes.offset >> shape_.cluster_bits; cluster <= last; ++cluster) {
    map_.add(cluster, uses, kind);
    kind = Pointer::other;  // a flag is about the first cluster
  }
}

Result<void> Census::for_each_window(Findings* findings, const VisitWindow& visit) {
  const Header& header = image_.header;
  const uint64_t end = div_up(header.file_size, header.cluster_size()) + 1;
  auto stored = TRY(StoredRefcounts::load(file_, header, findings));
  refcount_blocks_ = stored.blocks();
  for (uint64_t first = 0; first < end; first = map_.last()) {
    map_.start(first, end);
    TRY(count_window(first == 0 ? findings : nullptr));
    TRY(visit(map_, stored));
  }
  return {};
}

Result<void> Census::count_window(Findings* findings) {
  const Header& header = image_.header;
  hold({0, header.cluster_size()}, 1, Pointer::other);
  hold(header.luks, 1, Pointer::other);
  TRY(count_l1(findings));
  TRY(count_l2(findings));
  hold(image_.snapshots.place(), 1, Pointer::other);
  TRY(hold_bitmaps(
      file_, header, [&](const Range& bytes) { hold(bytes, 1, Pointer::other); }, findings));
  if (refcounts_ == Refcounts::left_out) return {};
  const Table& table = header.refcount_table;
  hold({table.offset, table.entries * sizeof(be64)}, 1, Pointer::other);
  for (const uint64_t block : refcount_blocks_) {
    if (block != 0) map_.add(block >> shape_.cluster_bits, 1, Pointer::other);
  }
  return {};
}

Result<void> Census::count_l1(Findings* findings) {
  for (const L1Place& place : walk_.tables()) {
    hold({place.table.offset, place.table.entries * sizeof(be64)}, 1, Pointer::other);
  }
  const auto visit = [&](const L1Place& place, uint64_t index, uint64_t& word) -> Result<void> {
    const L1Check entry = check_l1_entry(shape_, word, image_.header.file_size);
    Pointer kind = Pointer::other;
    if (place.active()) kind = (word & kCopied) != 0 ? Pointer::copied : Pointer::plain;
    hold(entry.held, 1, kind);
    if (entry.fault == nullptr || findings == nullptr) return {};
    findings->add(entry.mended ? Fault::entry : Fault::lasting, "{} entry {}: {} ({:#x})",
                  place.name(), index, entry.fault, word);
    if (!entry.mended) findings->unfollowed = true;
    note_stray(entry.held, *findings);
    return {};
  };
  return walk_.for_each_l1_entry(visit);
}

Result<void> Census::count_l2(Findings* findings) {
  const auto visit = [&](const L2Use& use, L2Entries& entries) -> Result<void> {
    for (uint64_t i = 0; i < entries.size(); ++i) {
      const L2Entry entry = entries[i];
      if (entry.word != 0 || entry.bitmap != 0) count_entry(use, i, entry, findings);
    }
    const uint64_t end = use.offset + shape_.cluster_size();
    if (end > image_.header.file_size && findings != nullptr) {
      findings->add(Fault::entry,
                    "L1 table entry {}: its L2 table is cut short by the end of the file",
                    use.l1_index);
    }
    return {};
  };
  return walk_.for_each_l2(visit);
}

void Census::count_entry(const L2Use& use, uint64_t index, const L2Entry& entry,
                         Findings* findings) {
  const uint64_t guest = (use.l1_index << shape_.table_bits() | index) << shape_.cluster_bits;
  const L2Check checked = check_entry(
      shape_, entry,
      {.file_size = image_.header.file_size, .guest = guest, .active = use.active != 0});
  Pointer kind = Pointer::other;
  if (checked.flagged && use.active != 0) {
    kind = (entry.word & kCopied) != 0 ? Pointer::copied : Pointer::plain;
  }
  hold(checked.held, use.uses, kind);
  if (checked.fault == nullptr || findings == nullptr) return;
  findings->add(checked.mended ? Fault::entry : Fault::lasting,
                "L1 table entry {}: L2 entry {} {} ({:#x})", use.l1_index, index, checked.fault,
                entry.word);
  note_stray(checked.held, *findings);
}

void Census::note_stray(const Range& held, Findings& findings) const {
  if (held.empty() || held.end() > image_.header.file_size + kStrayBytes) return;
  findings.end = std::max(findings.end, div_up(held.end(), shape_.cluster_size()));
}

}  // namespace platter::qcow2
