// FreeRuns: the free clusters of a file in front of those that are in use.
#pragma once

#include <map>
#include <optional>

#include "formats/qcow2/check_refcounts.h"

namespace platter::qcow2 {

// Numbers are those of clusters. Not thread safe.
class FreeRuns {
 public:
  struct Run {
    uint64_t first = 0, count = 0;
  };

  // Those with a refcount of 0 and a block that counts them, among the first clusters of the file.
  // The lowest 256 Ki runs of them are found: 4 MiB.
  static Result<FreeRuns> find(StoredRefcounts& stored, uint64_t clusters);

  // Behind the last one that is in use, and how many are.
  uint64_t end() const { return end_; }
  uint64_t used() const { return used_; }
  const std::vector<Run>& runs() const { return runs_; }
  bool empty() const { return runs_.empty(); }
  uint64_t count_below(uint64_t cluster) const;

  // The first count of them in a row, all in front of that cluster; they are no longer free.
  std::optional<uint64_t> take(uint64_t count, uint64_t before);

 private:
  void add(const Run& run);
  Result<void> look_at(StoredRefcounts& stored, uint64_t first, uint64_t end, uint64_t clusters);

  std::vector<Run> runs_;  // ascending; some may have been taken as a whole
  uint64_t end_ = 0, used_ = 0;
  std::map<uint64_t, size_t> search_from_;  // by the count: no run before has so many
};

}  // namespace platter::qcow2
