#include "formats/qcow2/repair.h"

#include <algorithm>

#include "formats/qcow2/check.h"
#include "formats/qcow2/repair_entries.h"
#include "formats/qcow2/repair_header.h"
#include "formats/qcow2/repair_refcounts.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kMarks =
    static_cast<uint64_t>(Incompatible::dirty) | static_cast<uint64_t>(Incompatible::corrupt);

// What cannot be followed is cut off, and what other programs keep in the image is out of date.
Result<void> settle_header(File& file, const Findings& found, Repair how) {
  const CheckedImage image = TRY(load_for_check(file));
  const bool all = how == Repair::all;
  if (image.header.version >= 3) {
    const bool bitmaps = all && found.count(Fault::bitmaps) != 0;
    TRY(clear_autoclear(file, ~kKnownAutoclear | (bitmaps ? kBitmapsValid : 0)));
  }
  if (all && found.count(Fault::snapshots) != 0) {
    TRY(write_snapshot_count(file, static_cast<uint32_t>(image.snapshots.list.size())));
  }
  return file.sync();
}

Result<void> move_l1(File& file, const Header& header, uint64_t cluster) {
  const Table to{cluster << header.cluster_bits, header.l1.entries};
  constexpr uint64_t kPiece = 1 * MiB;
  const uint64_t size = header.l1.entries * sizeof(be64);
  std::vector<std::byte> piece(std::min(size, kPiece));
  for (uint64_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min<uint64_t>(piece.size(), size - done));
    TRY(file.read_exact(header.l1.offset + done, piece));
    TRY(file.write(to.offset + done, piece));
  }
  TRY(file.sync());
  TRY(write_l1_offset(file, to));
  return file.sync();
}

// What is pointed at behind the end of the file, and stays so, is inside it afterwards: it is
// counted like all the rest.
Result<CheckedImage> load_with_strays(File& file, const Findings& found) {
  CheckedImage image = TRY(load_for_check(file));
  const uint64_t end = found.end << image.header.cluster_bits;
  if (end <= image.header.file_size) return image;
  TRY(file.resize(end));
  return load_for_check(file);
}

Result<void> renew_refcounts(File& file, const Findings& found) {
  const CheckedImage image = TRY(load_with_strays(file, found));
  const Header& header = image.header;
  const bool moves = found.count(Fault::l1_shared) != 0;
  const uint64_t l1_clusters = div_up(header.l1.entries * sizeof(be64), header.cluster_size());
  const Rebuild how{.first = div_up(header.file_size, header.cluster_size()),
                    .reserved = moves ? l1_clusters : 0,
                    .keep_high = found.unfollowed};
  const uint64_t reserved = TRY(rebuild_refcounts(file, image, how));
  return moves ? move_l1(file, header, reserved) : Result<void>{};
}

Result<void> mend(File& file, const Findings& found) {
  if (found.count(Fault::entry) == 0) return {};
  return mend_entries(file, TRY(load_for_check(file)));
}

Result<void> mend_all(File& file, const Findings& found) {
  TRY(mend(file, found));
  const bool shared = found.count(Fault::l1_shared) != 0;
  const bool wrong = found.count(Fault::low) + found.count(Fault::refcount_table) != 0;
  if (!shared && !wrong) return {};
  TRY(renew_refcounts(file, found));
  // A table that was left alone for what else was in it is alone now.
  return shared ? mend(file, found) : Result<void>{};
}

// The marks go when nothing else is left. Puts what is left into report.
Result<void> conclude(File& file, CheckReport& report) {
  const CheckedImage image = TRY(load_for_check(file));
  CheckReport left;
  Findings last(left);
  TRY(scan_image(file, image, last));
  if (last.faults() == last.count(Fault::mark)) {
    left = {};
    if (image.header.dirty || image.header.marked_corrupt) {
      TRY(clear_incompatible(file, kMarks));
      TRY(file.sync());
    }
  }
  const uint64_t before = report.corruptions + report.leaks;
  report.repaired += before - std::min(before, left.corruptions + left.leaks);
  report.corruptions = left.corruptions;
  report.leaks = left.leaks;
  for (const std::string& message : left.messages) {
    report.messages.push_back("not repaired: " + message);
  }
  return {};
}

}  // namespace

Result<void> repair_image(File& file, const Findings& found, Repair how, CheckReport& report) {
  const uint64_t counts = found.count(Fault::leak) + found.count(Fault::copied);
  if (how == Repair::leaks && found.faults() != counts) {
    return Error(Errc::corrupt, "has more than leaks: --repair all is needed");
  }
  if (found.faults() != found.count(Fault::lasting) + found.count(Fault::mark)) {
    TRY(settle_header(file, found, how));
    if (how == Repair::all) TRY(mend_all(file, found));
    // Pointers that went have left leaks.
    const CheckedImage image = TRY(load_for_check(file));
    if (!found.unfollowed) TRY(lower_refcounts(file, image));
    TRY(set_copied_flags(file, image));
  } else if (found.faults() == 0 && !found.dirty) {
    // What was looked at may be newer than what a power cut would leave.
    return file.sync();
  }
  return conclude(file, report);
}

}  // namespace platter::qcow2
