#include "formats/qcow2/free_runs.h"

#include <algorithm>

namespace platter::qcow2 {
namespace {

constexpr size_t kMostRuns = size_t{256} * 1024;

}  // namespace

void FreeRuns::add(const Run& run) {
  if (run.count == 0) return;
  if (!runs_.empty() && runs_.back().first + runs_.back().count == run.first) {
    runs_.back().count += run.count;
  } else if (runs_.size() < kMostRuns) {
    runs_.push_back(run);
  }
}

// Clusters that one block counts.
Result<void> FreeRuns::look_at(StoredRefcounts& stored, uint64_t first, uint64_t end,
                               uint64_t clusters) {
  if (!TRY(stored.block_counts(first))) {
    const uint64_t inside = std::min(end, clusters);
    add({first, inside - std::min(first, inside)});
    return {};
  }
  for (uint64_t cluster = first; cluster < end; ++cluster) {
    if (TRY(stored.get(cluster)) != 0) {
      end_ = cluster + 1;
      ++used_;
    } else if (cluster < clusters) {
      add({cluster, 1});
    }
  }
  return {};
}

Result<FreeRuns> FreeRuns::find(StoredRefcounts& stored, uint64_t clusters) {
  FreeRuns found;
  const uint64_t per_block = stored.per_block();
  // A stream may end behind the file, on paper.
  for (uint64_t i = 0; i < stored.blocks().size() && i * per_block <= clusters; ++i) {
    if (stored.blocks()[i] == 0) continue;
    const uint64_t first = i * per_block;
    TRY(found.look_at(stored, first, std::min(first + per_block, clusters + 1), clusters));
  }
  while (!found.runs_.empty() && found.runs_.back().first >= found.end_) found.runs_.pop_back();
  return found;
}

uint64_t FreeRuns::count_below(uint64_t cluster) const {
  uint64_t count = 0;
  for (const Run& run : runs_) {
    if (run.first < cluster) count += std::min(run.count, cluster - run.first);
  }
  return count;
}

std::optional<uint64_t> FreeRuns::take(uint64_t count, uint64_t before) {
  size_t& i = search_from_[count];
  for (; i < runs_.size() && runs_[i].first < before; ++i) {
    Run& run = runs_[i];
    if (run.count < count) continue;
    if (count > before - run.first) return std::nullopt;
    run.first += count;
    run.count -= count;
    return run.first - count;
  }
  return std::nullopt;
}

}  // namespace platter::qcow2
