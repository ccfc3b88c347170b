// Allocator: hands out clusters of the file and takes them back, by their refcounts.
#pragma once

#include <atomic>
#include <deque>
#include <set>
#include <unordered_set>
#include <vector>

#include "formats/qcow2/metadata_map.h"
#include "formats/qcow2/new_counts.h"
#include "formats/qcow2/refcounts.h"
#include "lib/image/epochs.h"

namespace platter::qcow2 {

// A cluster is free when its refcount is 0. One that loses its last pointer in this session goes
// through quarantine first: the drop has to be durable, and every request that began before has to
// have ended. Thread safe. No lock is held over guest bytes; the refcount table may grow, which
// syncs, about once in a doubling of the file.
class Allocator {
 public:
  // order: has refcounts.blocks() as its first table.
  Allocator(FilePtr file, const Header& header, Refcounts& refcounts, FlushOrder& order,
            MetadataMap& metadata, Epochs& epochs);

  // count clusters in a row, each with a refcount of 1; the number of the first. zeroed: whether
  // they are in the file, to the last byte, and read as zeroes. Errc::no_space when the refcount
  // table cannot grow any more; corrupt when a free one holds a table.
  Result<uint64_t> take(uint64_t count = 1, bool* zeroed = nullptr) EXCLUDES(mutex_);
  // The same, of 1 to max clusters: as many as are found at once.
  struct Run {
    uint64_t first = 0, count = 0;
    bool zeroed = false;
  };
  Result<Run> take_run(uint64_t max) EXCLUDES(mutex_);
  // They were taken and never pointed at.
  void give_back(uint64_t cluster, uint64_t count = 1) EXCLUDES(mutex_);

  // A pointer to the cluster was dropped in memory.
  void dropped(uint64_t cluster) EXCLUDES(mutex_);
  bool many_dropped() const { return dropped_count_.load() > kMaxDropped; }

  // Around a flush: the clusters dropped before it; and that the drops are durable, or failed.
  using Batch = std::vector<uint64_t>;
  Batch take_dropped() EXCLUDES(mutex_);
  void drops_are_durable(const Batch& batch) EXCLUDES(mutex_);
  void put_back(const Batch& batch) EXCLUDES(mutex_);
  // Clusters whose quarantine is over, ascending. Nobody is at them until now_free().
  Batch end_quarantine() EXCLUDES(mutex_);
  void now_free(const Batch& batch) EXCLUDES(mutex_);

  // The host gets their space back; that it cannot is no error. Nobody is at them.
  void punch(const Batch& clusters);

  // A change of the snapshots has counts of its own, from the one call to the other.
  void start_new_counts() EXCLUDES(mutex_);
  void end_new_counts() EXCLUDES(mutex_);
  // what(NewCounts&): with nothing else going on in here.
  template <class What>
  auto with_new_counts(What&& what) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return what(*new_counts_);
  }
  // The new counts are the image's. Of the clusters a block counts from first on, those that its
  // former counts (packed) had in use and that are free now; nobody is at them until now_free().
  Batch hold_freed(uint64_t first, Bytes former) EXCLUDES(mutex_);

 private:
  static constexpr uint64_t kMaxDropped = 65536;
  static constexpr uint64_t kMaxFree = 65536;

  Result<void> set_count(uint64_t cluster, uint64_t value) REQUIRES(mutex_);
  Result<uint64_t> take_one() REQUIRES(mutex_);
  // Takes the cluster, if it is free and needs nothing else.
  bool take_next(uint64_t cluster) REQUIRES(mutex_);
  Result<uint64_t> take_at_end(uint64_t count) REQUIRES(mutex_);
  // The lowest free cluster of those there were at open; none when none was found this time.
  Result<std::optional<uint64_t>> find_hole() REQUIRES(mutex_);
  // A free cluster gets a block that counts it. False: it became that block, take another.
  Result<bool> make_countable(uint64_t cluster) REQUIRES(mutex_);
  Result<void> grow_table(uint64_t cluster) REQUIRES(mutex_);
  Result<void> count_new(uint64_t first, uint64_t count) REQUIRES(mutex_);
  // True: they were behind everything that was ever written.
  Result<bool> append(uint64_t first, uint64_t count) REQUIRES(mutex_);
  Result<bool> lower(uint64_t cluster) REQUIRES(mutex_);
  uint64_t offset_of(uint64_t cluster) const { return cluster << cluster_bits_; }

  const FilePtr file_;
  const Header header_;
  const uint32_t cluster_bits_;
  FlushOrder& order_;
  MetadataMap& metadata_;
  Epochs& epochs_;

  Mutex mutex_;
  Refcounts& refcounts_ GUARDED_BY(mutex_);
  std::optional<NewCounts> new_counts_ GUARDED_BY(mutex_);
  uint64_t end_ GUARDED_BY(mutex_);           // no cluster from here on was handed out
  uint64_t hole_ GUARDED_BY(mutex_) = 1;      // below it no cluster is free but those of free_
  uint64_t holes_end_ GUARDED_BY(mutex_);     // from here on end_ looks
  bool not_sure_ GUARDED_BY(mutex_) = false;  // which refcount table the header names
  uint64_t file_end_ GUARDED_BY(mutex_);      // in clusters; nothing is ever written behind it
  std::set<uint64_t> free_ GUARDED_BY(mutex_);
  Batch dropped_ GUARDED_BY(mutex_);
  std::atomic<uint64_t> dropped_count_{0};  // dropped_.size(), readable without the lock
  struct Waiting {
    uint64_t moment;
    Batch clusters;
  };
  std::deque<Waiting> quarantine_ GUARDED_BY(mutex_);
  // Not handed out though their refcount is 0: in quarantine, in free_, or between the two.
  std::unordered_set<uint64_t> held_ GUARDED_BY(mutex_);
};

}  // namespace platter::qcow2
