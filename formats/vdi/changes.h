// Changes: the writing half of a VDI. The map and the header wait in memory.
#pragma once

#include <atomic>
#include <vector>

#include "formats/vdi/map_scan.h"
#include "lib/image/flush_order.h"
#include "lib/image/page_table.h"

namespace platter::vdi {

// Thread safe, by the rules of Image.
class Changes {
 public:
  // map: the image's block map, which this changes.
  Changes(FilePtr file, const Parsed& header, std::shared_ptr<PageCache> tables, PageTable& map);

  // Errc::unsupported: this kind of VDI is only read.
  static Result<void> check_supported(const Parsed& header);

  // Errc::corrupt when two entries share a block or one points outside: a new block could then
  // overwrite what is not free. Afterwards the modification UUID has changed, durably.
  Result<void> begin();
  Result<Reservation> reserve(const Range& want);
  Result<void> publish(const Reservation& reservation);
  void abandon(const Reservation& reservation) noexcept;
  // Points a block at nothing but zeroes.
  Result<void> point_at_zero(uint64_t block);
  Result<void> flush(bool wrote_data);
  bool wants_flush() const;

  // Blocks of a lower number are in the file to their last byte.
  uint64_t whole_blocks() const { return whole_blocks_.load(); }

 private:
  struct Taken {
    uint32_t number = 0;
    bool zeroed = false;
  };
  Result<Taken> take() EXCLUDES(mutex_);
  // True: the block is in the file now, to its last byte, and reads as zeroes.
  bool append(uint64_t number) REQUIRES(mutex_);
  Result<uint32_t> take_from_above() REQUIRES(mutex_);
  bool beyond_the_count() const REQUIRES(mutex_) { return in_use_.end() > header_.blocks; }
  Result<void> say_count(uint64_t count) REQUIRES(mutex_);
  Result<void> new_modification_uuid();
  Result<void> point(uint64_t block, uint32_t value);

  const FilePtr file_;
  const Parsed header_;
  PageTable& map_;
  PageTable fields_;  // the header
  FlushOrder order_;
  std::atomic<uint64_t> whole_blocks_;

  Mutex begin_;
  bool begun_ GUARDED_BY(begin_) = false;
  Mutex mutex_;
  BlocksInUse in_use_ GUARDED_BY(mutex_);  // when the first change was made
  // No lower number is handed out (no higher one, beyond the count), but those of
  uint64_t next_ GUARDED_BY(mutex_) = 0;
  std::vector<uint32_t> abandoned_ GUARDED_BY(mutex_);  // handed out, and not used
  uint64_t count_ GUARDED_BY(mutex_);                   // what the header says
  uint64_t file_end_ GUARDED_BY(mutex_) = 0;            // bytes; nothing lies behind it
};

}  // namespace platter::vdi
