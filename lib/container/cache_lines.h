// CacheLines: which pieces of a disk are in which slots of a cache image. No I/O: slots are held
// while somebody reads or fills them, and given to other lines only when nobody does.
#pragma once

#include <list>
#include <unordered_map>
#include <vector>

#include "lib/base/sync.h"
#include "lib/image/cache_image.h"

namespace platter {

// Thread safe. A piece is either not there, being filled by one thread, or there, and then its
// bytes in the file stay what they are as long as somebody holds its slot.
class CacheLines {
 public:
  // known: right, as read_cache_image() gives them.
  CacheLines(uint64_t slots, std::vector<CachedLine> known);

  // Pieces of one slot, side by side.
  struct Part {
    uint64_t slot = 0;
    uint64_t guest = 0;  // of the first
    unsigned first = 0;  // in the slot
    unsigned count = 0;
    std::array<uint32_t, kPiecesOfALine> checksums = {};  // of the pieces of Part, from its first
    Range range() const { return {guest, count * kCachePiece}; }
  };
  using Parts = std::vector<Part>;

  // The pieces at the start of range, whole ones, that are there; they are held. None: the length
  // of missing is how much at the start of it is not there.
  struct Found {
    Parts parts;
    uint64_t missing = 0;
  };
  Found hold(const Range& range) EXCLUDES(mutex_);
  // damaged: the first piece of it, if any, that does not read as what it was; it is forgotten.
  void release(const Parts& parts) EXCLUDES(mutex_);
  void forget_damaged(const Part& part, unsigned piece) EXCLUDES(mutex_);

  // Places for pieces of the range that are neither there nor being filled, where room can be made;
  // whoever used theirs the longest ago gives way. None while the range is being changed. Until
  // filled() nobody sees them.
  Parts begin_fill(const Range& range) EXCLUDES(mutex_);
  // They are there from now on, with the checksums that the parts have, but for those whose range
  // was changed meanwhile. good: false: they are not.
  void filled(const Parts& parts, bool good) EXCLUDES(mutex_);

  // The bytes of a range of the disk are being changed, from the constructor to the destructor:
  // nothing of it is there, and what is read meanwhile is not taken.
  class Change {
   public:
    Change(CacheLines& lines, const Range& range);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    // Something of it was there, and nobody else has changed any of it meanwhile: the new bytes may
    // be put there. As CacheLines::begin_fill().
    Parts begin_fill(const Range& part);

   private:
    friend class CacheLines;
    struct State {
      Range range;
      bool was_there = false;
      bool alone = true;
    };
    CacheLines& lines_;
    std::list<State>::iterator state_;
  };

  void forget(const Range& range) EXCLUDES(mutex_);

  struct Use {
    uint64_t lines = 0;    // in use
    uint64_t evicted = 0;  // gave way to others
  };
  Use use() const EXCLUDES(mutex_);

  // What there is, nobody being at it any more; ages by the order of last use.
  std::vector<CachedLine> take() EXCLUDES(mutex_);

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  struct Slot {
    uint64_t line = 0;  // its number on the disk
    std::array<uint32_t, kPiecesOfALine> checksums = {};
    uint32_t older = kNone, newer = kNone;  // in the order of last use
    uint32_t users = 0;                     // who reads or fills it
    uint8_t pieces = 0, filling = 0;        // bits
    bool listed = false;                    // false: nobody finds it; free once nobody is at it
  };

  Parts fill(const Range& range) REQUIRES(mutex_);
  bool changing(const Range& range) const REQUIRES(mutex_);
  // kNone: no room.
  uint32_t slot_for(uint64_t line) REQUIRES(mutex_);
  uint32_t free_slot() REQUIRES(mutex_);
  // True: something of it was there.
  bool drop(const Range& range) REQUIRES(mutex_);
  bool drop_from(uint32_t slot, uint8_t pieces) REQUIRES(mutex_);
  void unlist(uint32_t slot) REQUIRES(mutex_);
  void unlist_if_empty(uint32_t slot) REQUIRES(mutex_);
  void let_go(uint32_t slot) REQUIRES(mutex_);
  void used_now(uint32_t slot) REQUIRES(mutex_);
  void unlink(uint32_t slot) REQUIRES(mutex_);
  void link_newest(uint32_t slot) REQUIRES(mutex_);

  const uint64_t most_;
  mutable Mutex mutex_;
  std::vector<Slot> slots_ GUARDED_BY(mutex_);  // as many as were ever used
  std::vector<uint32_t> free_ GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, uint32_t> by_line_ GUARDED_BY(mutex_);
  uint32_t oldest_ GUARDED_BY(mutex_) = kNone, newest_ GUARDED_BY(mutex_) = kNone;
  uint64_t evicted_ GUARDED_BY(mutex_) = 0;
  std::list<Change::State> changes_ GUARDED_BY(mutex_);
};

}  // namespace platter
