// Free clusters are found in this order: those freed in this session, holes of the file (looked
// for a few pages of refcounts at a time, so that no request waits for a whole scan), the end.
#include "formats/qcow2/allocator.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow2/packed_count.h"
#include "formats/qcow2/refcount_growth.h"
#include "lib/base/checked.h"
#include "lib/base/log.h"

namespace platter::qcow2 {
namespace {

constexpr unsigned kPagesPerSearch = 8;

Error full() {
  return {Errc::no_space, "refcount table: the file is too large for its clusters and refcounts"};
}

}  // namespace

Allocator::Allocator(FilePtr file, const Header& header, Refcounts& refcounts, FlushOrder& order,
                     MetadataMap& metadata, Epochs& epochs)
    : file_(std::move(file)),
      header_(header),
      cluster_bits_(header.cluster_bits),
      order_(order),
      metadata_(metadata),
      epochs_(epochs),
      refcounts_(refcounts),
      end_(div_up(header.file_size, header.cluster_size())),
      holes_end_(end_),
      file_end_(end_) {}

Result<uint64_t> Allocator::take(uint64_t count, bool* zeroed) {
  const MutexLock lock(mutex_);
  const uint64_t first = count == 1 ? TRY(take_one()) : TRY(take_at_end(count));
  const bool appended = TRY(append(first, count));
  TRY(count_new(first, count));
  if (zeroed != nullptr) *zeroed = appended;
  return first;
}

Result<Allocator::Run> Allocator::take_run(uint64_t max) {
  const MutexLock lock(mutex_);
  Run run{.first = TRY(take_one()), .count = 1};
  while (run.count < max && take_next(run.first + run.count)) ++run.count;
  run.zeroed = TRY(append(run.first, run.count));
  TRY(count_new(run.first, run.count));
  return run;
}

// Every cluster is in the file before it is handed out: to make the file longer could otherwise cut
// off what another thread writes behind its end.
Result<bool> Allocator::append(uint64_t first, uint64_t count) {
  const uint64_t end = first + count;
  if (end <= file_end_) return false;
  const bool behind = first >= file_end_;
  TRY(file_->resize(offset_of(end)));
  file_end_ = end;
  return behind;
}

Result<void> Allocator::count_new(uint64_t first, uint64_t count) {
  const Range range{offset_of(first), count << cluster_bits_};
  if (const auto kind = metadata_.find(range)) {
    return Error(Errc::corrupt, fmt::format("refcounts: the {} in {:#x} counts as free",
                                            MetadataMap::name(*kind), range.offset));
  }
  for (uint64_t i = 0; i < count; ++i) TRY(set_count(first + i, 1));
  return {};
}

Result<void> Allocator::set_count(uint64_t cluster, uint64_t value) {
  if (!new_counts_) return refcounts_.set(cluster, value);
  const uint64_t before = TRY(refcounts_.get(cluster));
  TRY(refcounts_.set(cluster, value));
  new_counts_->follow(cluster, before, value);
  return {};
}

Result<uint64_t> Allocator::take_one() {
  if (!free_.empty()) {
    const uint64_t cluster = free_.extract(free_.begin()).value();
    held_.erase(cluster);
    return cluster;
  }
  while (const auto hole = TRY(find_hole())) {
    hole_ = *hole + 1;
    if (TRY(make_countable(*hole))) return *hole;
  }
  return take_at_end(1);
}

bool Allocator::take_next(uint64_t cluster) {
  if (free_.erase(cluster) != 0) {
    held_.erase(cluster);
    return true;
  }
  const bool in_turn = cluster == end_ || (cluster == hole_ && cluster < holes_end_);
  if (!in_turn || held_.contains(cluster) || cluster >= kMaxHostOffset >> cluster_bits_) {
    return false;
  }
  // An error comes up again, when the cluster is somebody's only choice.
  const Result<bool> counted = refcounts_.counted(cluster);
  if (!counted || !*counted) return false;
  const Result<uint64_t> count = refcounts_.get(cluster);
  if (!count || *count != 0) return false;
  (cluster == end_ ? end_ : hole_) = cluster + 1;
  return true;
}

Result<std::optional<uint64_t>> Allocator::find_hole() {
  while (hole_ < holes_end_) {
    const Refcounts::Found next = TRY(refcounts_.find_free(hole_, holes_end_, kPagesPerSearch));
    hole_ = next.cluster;
    if (!next.found) break;
    if (!held_.contains(hole_)) return std::optional(hole_);
    ++hole_;
  }
  return std::optional<uint64_t>();
}

Result<uint64_t> Allocator::take_at_end(uint64_t count) {
  uint64_t first = end_;
  for (uint64_t next = first; next - first < count; ++next) {
    if (next >= kMaxHostOffset >> cluster_bits_) return full();
    // What a crash leaked lies behind the end of the file.
    const bool free = TRY(refcounts_.get(next)) == 0 && !held_.contains(next);
    if (!free || !TRY(make_countable(next))) first = next + 1;
    end_ = next + 1;
  }
  return first;
}

Result<bool> Allocator::make_countable(uint64_t cluster) {
  if (cluster >= refcounts_.covered()) TRY(grow_table(cluster));
  if (TRY(refcounts_.get(cluster)) != 0) return false;  // a part of the grown table
  if (TRY(refcounts_.counted(cluster))) return true;
  const Range range{offset_of(cluster), header_.cluster_size()};
  if (!metadata_.add(range, MetadataMap::Kind::refcount_block)) {
    return Error(Errc::corrupt,
                 fmt::format("refcounts: a table at {:#x} is not counted", range.offset));
  }
  TRY(refcounts_.add_block(cluster, range.offset));
  TRY(set_count(cluster, 1));
  return false;
}

Result<void> Allocator::grow_table(uint64_t cluster) {
  if (not_sure_) return Error(Errc::io, "refcount table: cannot grow after an error");
  const Growth grown =
      TRY(grow_refcount_table(*file_, header_, refcounts_, order_, cluster, not_sure_));
  file_end_ = std::max(file_end_, grown.table.end() >> cluster_bits_);
  metadata_.remove(grown.old_table);
  if (!metadata_.add(grown.blocks, MetadataMap::Kind::refcount_block) ||
      !metadata_.add(grown.table, MetadataMap::Kind::refcount_table)) {
    not_sure_ = true;
    return Error(Errc::corrupt, "refcounts: a table behind the counted clusters");
  }
  for (uint64_t at = grown.old_table.offset; at < grown.old_table.end();
       at += header_.cluster_size()) {
    dropped_.push_back(at >> cluster_bits_);
  }
  dropped_count_.store(dropped_.size());
  return {};
}

void Allocator::give_back(uint64_t cluster, uint64_t count) {
  const MutexLock lock(mutex_);
  for (uint64_t c = cluster; c < cluster + count; ++c) {
    // A count that stays is a leak.
    if (set_count(c, 0) && held_.insert(c).second) free_.insert(c);
  }
}

void Allocator::dropped(uint64_t cluster) {
  const MutexLock lock(mutex_);
  dropped_.push_back(cluster);
  dropped_count_.store(dropped_.size());
}

Allocator::Batch Allocator::take_dropped() {
  const MutexLock lock(mutex_);
  dropped_count_.store(0);
  return std::exchange(dropped_, {});
}

void Allocator::put_back(const Batch& batch) {
  const MutexLock lock(mutex_);
  dropped_.insert(dropped_.end(), batch.begin(), batch.end());
  dropped_count_.store(dropped_.size());
}

// One reference less; true: it was the last one.
Result<bool> Allocator::lower(uint64_t cluster) {
  const uint64_t count = TRY(refcounts_.get(cluster));
  if (count == 0) {
    log::error("refcounts: cluster {} was in use and is not counted", cluster);
    return false;
  }
  TRY(set_count(cluster, count - 1));
  return count == 1;
}

void Allocator::drops_are_durable(const Batch& batch) {
  const MutexLock lock(mutex_);
  Batch free;
  for (const uint64_t cluster : batch) {
    const Result<bool> last = lower(cluster);
    if (!last) {
      dropped_.push_back(cluster);  // the next flush tries again
    } else if (*last && held_.insert(cluster).second) {
      free.push_back(cluster);
    }
  }
  dropped_count_.store(dropped_.size());
  if (free.empty()) return;
  std::sort(free.begin(), free.end());
  quarantine_.push_back({epochs_.now(), std::move(free)});
}

Allocator::Batch Allocator::end_quarantine() {
  const MutexLock lock(mutex_);
  Batch ended;
  while (!quarantine_.empty() && epochs_.passed(quarantine_.front().moment)) {
    const Batch& clusters = quarantine_.front().clusters;
    ended.insert(ended.end(), clusters.begin(), clusters.end());
    quarantine_.pop_front();
  }
  std::sort(ended.begin(), ended.end());
  return ended;
}

void Allocator::punch(const Batch& clusters) {
  for (size_t i = 0; i < clusters.size();) {
    Range run{offset_of(clusters[i]), 0};
    for (; i < clusters.size() && offset_of(clusters[i]) == run.end(); ++i) {
      run.length += header_.cluster_size();
    }
    if (!file_->make_zero(run, File::Zero::free_space)) return;
  }
}

void Allocator::start_new_counts() {
  const MutexLock lock(mutex_);
  new_counts_.emplace(file_, header_, refcounts_);
}

void Allocator::end_new_counts() {
  const MutexLock lock(mutex_);
  new_counts_.reset();
}

Allocator::Batch Allocator::hold_freed(uint64_t first, Bytes former) {
  const MutexLock lock(mutex_);
  Batch freed;
  for (uint64_t i = 0; i < refcounts_.per_block(); ++i) {
    if (packed_count(former, header_.refcount_order, i) == 0) continue;
    // One that cannot be looked at stays as it is.
    const Result<uint64_t> now = refcounts_.get(first + i);
    if (now && *now == 0 && held_.insert(first + i).second) freed.push_back(first + i);
  }
  return freed;
}

void Allocator::now_free(const Batch& batch) {
  const MutexLock lock(mutex_);
  free_.insert(batch.begin(), batch.end());
  if (free_.size() <= kMaxFree) return;
  // So many are found again by their counts.
  hole_ = std::min(hole_, *free_.begin());
  holes_end_ = std::max(holes_end_, *free_.rbegin() + 1);
  for (const uint64_t cluster : free_) held_.erase(cluster);
  free_.clear();
}

}  // namespace platter::qcow2
