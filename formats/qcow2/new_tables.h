// NewTables: the L1 table and the L2 tables of the live disk as they will be when a change of the
// snapshots is made, beside those it has until then.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "formats/qcow2/allocator.h"
#include "formats/qcow2/l1_table.h"
#include "formats/qcow2/l2_edit.h"
#include "formats/qcow2/l2_entries.h"

namespace platter::qcow2 {

// What the live disk has now; all of it outlives who uses it.
struct LiveTables {
  FilePtr file;
  L2Shape shape;
  L1Table& l1;
  PageTable& l2;
  Allocator& allocator;
  std::shared_ptr<PageCache> clean;
};

// An L2 table that is right for both states is used by both; of others a copy is made. The counts
// of what the new state holds go to the Allocator's new counts. Thread safe: one thread makes the
// tables while others change the live ones through this. Lock order: this, then the allocator.
class NewTables {
 public:
  enum class For : unsigned char {
    // The live tables stay behind as a snapshot's. All they hold is held once more, and no new
    // entry has its COPIED flag.
    create,
    // Something else held what the live tables hold, and the new counts do not have it any more:
    // entries get their COPIED flags where they are the only ones now.
    remove,
  };
  NewTables(LiveTables live, For purpose);

  // The table behind each L1 entry, below entries(); each once.
  uint64_t entries() const { return l1_.size(); }
  Result<void> make(uint64_t l1_index) EXCLUDES(mutex_);
  // Instead of the live disk's tables: those of a snapshot, each at l2 (bytes), behind so many L1
  // entries. For::create.
  void resize(uint64_t entries) EXCLUDES(mutex_);
  Result<void> make_from(uint64_t l1_index, uint64_t l2) EXCLUDES(mutex_);
  // All that the table at l2 (bytes), which no writer is at, holds gets delta more, and itself.
  Result<void> count(uint64_t l2, int delta);

  // store changes entries of a live L2 table, or of the live L1 table, which pointed at the table
  // at before (0: none) and points at the one at now. Its error alone is given.
  using Store = std::function<Result<void>()>;
  Result<void> change_l2(uint64_t l1_index, uint64_t l2_index, std::span<const L2Entry> now,
                         const Store& store) EXCLUDES(mutex_);
  Result<void> change_l1(uint64_t l1_index, uint64_t before, uint64_t now, const Store& store)
      EXCLUDES(mutex_);

  uint64_t waiting() const { return l2_.dirty_bytes(); }
  // New tables that wait in memory go to the file, not synced.
  Result<void> write_out() EXCLUDES(mutex_);
  // What went wrong while others changed the live tables: this is of no use then.
  std::optional<Error> fault() EXCLUDES(mutex_);
  // The new L1 table, and the offsets of the tables that are new; nobody changes anything now.
  const std::vector<be64>& l1() const { return l1_; }
  const std::vector<uint64_t>& copies() const { return copies_; }

 private:
  enum class State : unsigned char { missing, kept, copied };
  using Content = std::vector<std::byte>;  // of a table, or of some of its entries

  Result<Content> content_of(uint64_t l2) const;
  L2Entries entries_of(Content& content) const { return {content, live_.shape.entry_bits()}; }
  Result<void> count_held(Content& content, int delta);
  Result<void> count_table(uint64_t l2, int delta);
  // Sets the flags as the new state has them; whether that changed any.
  Result<bool> set_flags(Content& content);
  Result<void> put(uint64_t l1_index, uint64_t l2, Content& content) REQUIRES(mutex_);
  Result<void> put_copy(uint64_t l1_index, const Content& content) REQUIRES(mutex_);
  Result<void> keep(uint64_t l1_index, uint64_t l2) REQUIRES(mutex_);
  Result<void> follow_l2(uint64_t l1_index, uint64_t l2_index, std::span<const L2Entry> before,
                         std::span<const L2Entry> now) REQUIRES(mutex_);
  Result<void> follow_l1(uint64_t l1_index, uint64_t before, uint64_t now) REQUIRES(mutex_);

  const LiveTables live_;
  const For purpose_;
  PageTable l2_;  // the copies
  Mutex mutex_;
  // Changed under the mutex; read without it when nobody changes anything.
  std::vector<be64> l1_;
  std::vector<State> states_;
  std::vector<uint64_t> copies_;
  std::optional<Error> fault_ GUARDED_BY(mutex_);
};

}  // namespace platter::qcow2
