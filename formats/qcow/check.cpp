// One walk over all tables reports or, told to, clears: both come to the same verdicts, for what is
// visited first keeps what is shared. The file is looked at in stretches; what begins in a stretch
// is judged there.
#include "formats/qcow/check.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow/l2.h"
#include "formats/qcow/sector_map.h"
#include "formats/qcow/tables.h"
#include "lib/base/checked.h"

namespace platter::qcow {
namespace {

enum class What : unsigned char { report, clear };

class Walk {
 public:
  Walk(File& file, const Header& header, What what, CheckReport& report)
      : file_(file), header_(header), what_(what), report_(report), map_(header.file_size) {}

  Result<void> run();
  // Behind the last byte in use, once it ran.
  uint64_t used_end() const { return used_end_; }

 private:
  Result<void> judge_tables();
  Result<void> walk_stretch();
  Result<void> walk_table(const Tables::Place& place);
  // Clears the entry, when its cluster cannot be right.
  void judge(const Tables::Place& place, uint64_t index, uint64_t& entry);
  // What is wrong with the cluster by itself; null: nothing.
  const char* fault_of(const Cluster& cluster) const;
  bool add(const Range& range, SectorMap::Use use);
  void count_unused();

  File& file_;
  const Header& header_;
  const What what_;
  CheckReport& report_;
  SectorMap map_;
  Tables tables_;
  uint64_t next_ = 0;     // where something begins behind the stretch
  uint64_t counted_ = 0;  // unused clusters that begin below are counted
  uint64_t used_end_ = 0;
  uint64_t unused_ = 0;
};

Result<void> Walk::judge_tables() {
  tables_ = TRY(find_tables(file_, header_));
  for (const Tables::Fault& fault : tables_.faults) {
    if (what_ == What::clear) {
      const uint64_t at = header_.l1_offset + fault.l1_index * sizeof(be64);
      TRY(file_.write(at, as_bytes_of(be64(0))));
    } else {
      report_.corruption(fmt::format("L1 table entry {}: its L2 table {} ({:#x})", fault.l1_index,
                                     fault.what, fault.word));
    }
  }
  return {};
}

bool Walk::add(const Range& range, SectorMap::Use use) {
  used_end_ = std::max(used_end_, range.end());
  if (range.end() > map_.end()) next_ = std::min(next_, std::max(range.offset, map_.end()));
  if (range.offset >= map_.end()) return true;
  // What begins in an earlier stretch was judged there.
  if (map_.add(range, use) || range.offset < map_.first()) return true;
  return false;
}

const char* Walk::fault_of(const Cluster& cluster) const {
  if (cluster.kind == Cluster::Kind::invalid) return cluster.problem;
  if (cluster.host.offset >= header_.file_size) return "points past the end of the file";
  if (header_.holds_any_of(cluster.host)) return "points at the header";
  if (tables_.hold_any_of(header_, cluster.host)) return "points at a table";
  return nullptr;
}

void Walk::judge(const Tables::Place& place, uint64_t index, uint64_t& entry) {
  const Cluster cluster = decode(header_, entry);
  const char* fault = fault_of(cluster);
  if (fault != nullptr) {
    // Said once, whatever the number of stretches.
    if (map_.first() != 0) return;
  } else {
    const bool stream = cluster.kind == Cluster::Kind::compressed;
    const auto use = stream ? SectorMap::Use::stream : SectorMap::Use::alone;
    if (add(cluster.host, use)) return;
    fault = "points at a cluster another one has";
  }
  if (what_ == What::report) {
    report_.corruption(fmt::format("L1 table entry {}: L2 entry {} {} ({:#x})", place.l1_index,
                                   index, fault, entry));
  } else {
    entry = 0;
  }
}

Result<void> Walk::walk_table(const Tables::Place& place) {
  return for_each_word(file_, {place.offset, header_.table_bytes()},
                       [&](uint64_t index, uint64_t& entry) -> Result<void> {
                         judge(place, index, entry);
                         return {};
                       });
}

Result<void> Walk::walk_stretch() {
  for (const Range& own : {Range{0, sizeof(RawHeader)}, header_.backing_name, header_.l1()}) {
    map_.mark(own);
    used_end_ = std::max(used_end_, own.end());
    if (own.end() > map_.end()) next_ = std::min(next_, std::max(own.offset, map_.end()));
  }
  for (const Tables::Place& place : tables_.sound) {
    add({place.offset, header_.table_bytes()}, SectorMap::Use::alone);
  }
  for (const Tables::Place& place : tables_.sound) TRY(walk_table(place));
  count_unused();
  return {};
}

void Walk::count_unused() {
  const uint64_t end = std::min(map_.end(), header_.file_size);
  unused_ += map_.unused({counted_, end - std::min(end, counted_)}, header_.cluster_size());
  counted_ = std::max(counted_, align_down(end, header_.cluster_size()));
}

Result<void> Walk::run() {
  report_.blocks = div_up(header_.size, header_.cluster_size());
  TRY(judge_tables());
  for (uint64_t first = 0; first < header_.file_size; first = next_) {
    next_ = header_.file_size;
    map_.start(first);
    TRY(walk_stretch());
    // Nothing begins between the stretches.
    next_ = std::max(align_down(next_, header_.cluster_size()), std::min(map_.end(), next_));
    const uint64_t gap = next_ - std::min(next_, counted_);
    unused_ += gap / header_.cluster_size();
    counted_ = std::max(counted_, align_down(next_, header_.cluster_size()));
  }
  if (unused_ == 0) return {};
  report_.leak(fmt::format("{} clusters of the file are not used", unused_));
  report_.leaks = unused_;
  return {};
}

// Cuts off the end of the file what nothing points at.
Result<bool> cut(File& file, const Header& header, uint64_t used_end) {
  const uint64_t end = align_up(used_end, header.cluster_size());
  if (end >= header.file_size) return false;
  TRY(file.resize(end));
  TRY(file.sync());
  return true;
}

Result<void> repair_image(File& file, const Header& header, const CheckReport& found,
                          CheckReport& left) {
  if (found.corruptions != 0) {
    CheckReport ignored;
    Walk clearing(file, header, What::clear, ignored);
    TRY(clearing.run());
    TRY(file.sync());
  }
  Walk after(file, header, What::report, left);
  TRY(after.run());
  if (!TRY(cut(file, header, after.used_end()))) return {};
  left = {};
  const Header shorter = TRY(parse_header(file));
  return Walk(file, shorter, What::report, left).run();
}

}  // namespace

Result<void> check_image(File& file, const Header& header, Repair repair, CheckReport& report) {
  TRY(Walk(file, header, What::report, report).run());
  if (repair == Repair::none) return {};
  // What was looked at may be newer than what a power cut would leave.
  if (report.corruptions + report.leaks == 0) return file.sync();
  if (repair == Repair::leaks && report.corruptions != 0) {
    return Error(Errc::corrupt, "has more than leaks: --repair all is needed");
  }
  CheckReport left;
  TRY(repair_image(file, header, report, left));
  report.repaired = report.corruptions - left.corruptions;
  report.repaired += report.leaks - std::min(report.leaks, left.leaks);
  report.corruptions = left.corruptions;
  report.leaks = left.leaks;
  return {};
}

}  // namespace platter::qcow
