// Changes: the writing half of a qcow image. Its tables wait in memory.
#pragma once

#include <atomic>
#include <unordered_map>
#include <vector>

#include "formats/qcow/tables.h"
#include "lib/image/flush_order.h"
#include "lib/image/image.h"
#include "lib/image/page_table.h"

namespace platter::qcow {

// Thread safe, by the rules of Image. Lock order: an L2 table's making, what is known of tables,
// the end of the file.
class Changes {
 public:
  // l1, l2: the image's tables, which this changes; l2 in units of a sector.
  Changes(FilePtr file, const Header& header, const std::shared_ptr<PageCache>& tables,
          PageTable& l1, PageTable& l2);

  // Errc::corrupt when two L2 tables overlap, or one lies outside the file or over the header.
  Result<void> begin() EXCLUDES(begin_);
  Result<Reservation> reserve(const Range& want);
  Result<void> publish(const Reservation& reservation);
  void abandon(const Reservation& reservation) noexcept EXCLUDES(mutex_);
  // Nothing is in the cluster of this guest byte any more.
  Result<void> drop(uint64_t guest);
  Result<void> flush(bool wrote_data);
  bool wants_flush() const;

  // Whether guest bytes may go to clusters of this L2 table where they are: none of them lies over
  // a table, or where new ones will.
  bool may_overwrite(uint64_t l1_index);
  // What the file is known to have, bytes.
  uint64_t data_end() const { return data_end_.load(); }

 private:
  struct Place {
    uint64_t l1_index = 0;
    uint64_t l2_index = 0;
    uint64_t cluster = 0;  // its first guest byte
  };
  Place place_of(uint64_t guest) const;
  Result<uint64_t> table_at(uint64_t l1_index) const;
  // The offset of the L2 table, which is sound; a new one when there is none.
  Result<uint64_t> own_l2(uint64_t l1_index) EXCLUDES(make_l2_);
  Result<uint64_t> make_l2(uint64_t l1_index) REQUIRES(make_l2_);
  Result<void> expect_sound(uint64_t l1_index, uint64_t table) EXCLUDES(known_);
  Result<void> look_through(uint64_t l1_index, uint64_t table) const;
  // How many clusters of want, whole but for the only one, need a place, from its start; and have
  // their entries in one unit of the L2 table, which changes as one.
  Result<uint64_t> new_clusters(uint64_t table, const Place& place, const Range& want) const;
  struct Taken {
    uint64_t host = 0;
    bool zeroed = false;
  };
  Result<Taken> take(uint64_t clusters) EXCLUDES(mutex_);
  void data_reaches(uint64_t end);

  const FilePtr file_;
  const Header header_;
  PageTable& l1_;
  PageTable& l2_;
  PageTable counts_;  // of which there are none
  FlushOrder order_;
  std::atomic<uint64_t> data_end_{0};

  Mutex begin_;
  std::atomic<bool> begun_{false};
  Tables at_begin_;         // what was found then, when begun_
  uint64_t first_end_ = 0;  // of the file then, bytes

  Mutex make_l2_;
  mutable SharedMutex known_;
  std::unordered_map<uint64_t, bool> sound_ GUARDED_BY(known_);  // L2 tables, by L1 index
  Mutex mutex_;
  uint64_t end_ GUARDED_BY(mutex_) = 0;                 // nothing of the file lies behind it
  std::vector<uint64_t> abandoned_ GUARDED_BY(mutex_);  // clusters handed out, and not used
};

}  // namespace platter::qcow
