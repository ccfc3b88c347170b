// Changes: the writing half of a VHDX. The BAT and the bitmaps wait in memory.
#pragma once

#include <atomic>
#include <memory>

#include "formats/vhdx/block_map.h"
#include "formats/vhdx/host_space.h"
#include "formats/vhdx/journal.h"

namespace platter::vhdx {

// The two tables of a BlockMap as one, which reaches the file through the journal.
class JournaledTables final : public Table {
 public:
  JournaledTables(FilePtr file, BlockMap& map, const Range& bat, Journal& journal,
                  const HostSpace& space)
      : file_(std::move(file)), map_(map), bat_(bat), journal_(journal), space_(space) {}

  Pages take_dirty() override;
  Result<void> write(const Pages& pages) override;
  void written(const Pages& pages) override;
  void put_back(const Pages& pages) override;

 private:
  struct Split {
    Pages bat, bitmaps;
  };
  Split split(const Pages& pages) const;

  const FilePtr file_;
  BlockMap& map_;
  const Range bat_;  // the region
  Journal& journal_;
  const HostSpace& space_;
  uint64_t file_size_ = 0;  // before the sync of the flush under way; one thread at a time
};

// Thread safe, by the rules of Image.
class Changes {
 public:
  // header: outlives this, and is of an image whose log is empty. map: of it, which this changes.
  Changes(FilePtr file, const Parsed& header, const std::shared_ptr<PageCache>& tables,
          BlockMap& map, Epochs& epochs);

  // Errc::unsupported: it can only be read.
  static Result<void> check_supported(const Parsed& header);

  // Errc::corrupt when two blocks share a place or one lies outside: a new block could then
  // overwrite what is not free. Afterwards both write GUIDs have changed, durably.
  Result<void> begin();
  Result<Reservation> reserve(const Range& want);
  Result<void> publish(const Reservation& reservation);
  void abandon(const Reservation& reservation) noexcept;
  Result<Range> make_zero(const Range& want, File::Zero how);
  Result<void> flush(bool wrote_data);
  bool wants_flush() const;

 private:
  Result<void> begin_once();
  Range range_of(uint64_t block) const;
  // Stores an entry of the BAT. Those that wait fit one change of the journal.
  Result<void> point(uint64_t index, uint64_t entry);
  Result<void> point_at_zero(uint64_t block, uint64_t entry);
  Result<Reservation> reserve_block(uint64_t block, uint64_t entry);
  Result<Reservation> reserve_sectors(uint64_t block, uint64_t entry, const Range& want);
  Result<void> expect_bitmap(uint64_t block);
  Result<void> publish_sectors(const Reservation& reservation, uint64_t block, bool first);
  Result<void> clear_bits(uint64_t block);
  Result<void> set_bits(uint64_t block, const Range& covers);
  Result<bool> all_bits_set(uint64_t block) const;
  // Of whole, what is zero afterwards: all of it or, with an empty range, none.
  Result<bool> zero_block(uint64_t block, uint64_t entry, File::Zero how);
  Result<Range> zero_part(const Range& want, File::Zero how);

  const FilePtr file_;
  const Parsed& header_;
  const Shape shape_;
  BlockMap& map_;
  HostSpace space_;
  Journal journal_;
  JournaledTables tables_;
  PageTable nothing_;  // may be written at any time
  FlushOrder order_;

  Mutex begin_;
  bool begun_ GUARDED_BY(begin_) = false;
  std::atomic<bool> begin_failed_{false};  // and something of it may not be durable
  Mutex pointing_, making_bitmap_;
};

}  // namespace platter::vhdx
