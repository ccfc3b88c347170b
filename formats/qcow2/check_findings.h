// Findings: what a check has found, by what mends it.
#pragma once

#include <array>

#include <fmt/format.h>

#include "lib/image/check.h"

namespace platter::qcow2 {

enum class Fault : unsigned char {
  leak,            // a refcount is too high
  low,             // a refcount is too low
  narrow,          // a refcount that refcounts of this image have no room for
  refcount_table,  // the table or a block cannot be right
  copied,          // a COPIED flag
  entry,           // an L1 or L2 entry that can be mended
  l1_shared,       // the active L1 table, which is changed in place, has something else in it
  bitmaps,         // the bitmaps cannot be followed
  snapshots,       // the snapshot table cannot be followed to its end
  mark,            // the header says that the image is corrupt
  lasting,         // what nothing mends
};
inline constexpr size_t kFaults = static_cast<size_t>(Fault::lasting) + 1;

// Not thread safe.
class Findings {
 public:
  // report: outlives it; gets a message for each fault while there is room.
  explicit Findings(CheckReport& report) : report_(report) {}

  template <class... Args>
  void add(Fault fault, fmt::format_string<Args...> text, Args&&... args) {
    ++counts_[static_cast<size_t>(fault)];
    if (report_.messages.size() >= CheckReport::kMaxMessages) {
      ++(fault == Fault::leak ? report_.leaks : report_.corruptions);
    } else if (fault == Fault::leak) {
      report_.leak(fmt::format(text, std::forward<Args>(args)...));
    } else {
      report_.corruption(fmt::format(text, std::forward<Args>(args)...));
    }
  }
  uint64_t count(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }
  uint64_t faults() const { return report_.corruptions + report_.leaks; }

  // Something points at clusters that cannot be found out: no refcount may get lower.
  bool unfollowed = false;
  // The dirty bit is set: refcounts may be wrong, and that is no fault.
  bool dirty = false;
  // The first cluster behind the file and everything that is pointed at not far behind it.
  uint64_t end = 0;

 private:
  CheckReport& report_;
  std::array<uint64_t, kFaults> counts_{};
};

}  // namespace platter::qcow2
