// Changes: the writing half of a VHD with a block allocation table. The table and the bitmaps wait
// in memory.
#pragma once

#include <atomic>

#include "formats/vhd/block_space.h"
#include "formats/vhd/parse.h"
#include "lib/image/image.h"
#include "lib/image/page_table.h"

namespace platter::vhd {

// Thread safe, by the rules of Image.
class Changes {
 public:
  // pointers: the table and the bitmaps of the image, which this changes.
  Changes(FilePtr file, const Parsed& parsed, std::shared_ptr<PageCache> tables,
          PageTable& pointers);

  // Errc::unsupported: this one is only read; read_only: it has to be repaired first, which is what
  // will be done when to_repair.
  static Result<void> check_supported(const Parsed& parsed, bool to_repair = false);

  // Errc::corrupt when an entry cannot be right: a new block could then overwrite what is not free.
  // Afterwards the footers are whole, durably.
  Result<void> begin();
  Result<Reservation> reserve(const Range& want);
  Result<void> publish(const Reservation& reservation);
  void abandon(const Reservation& reservation) noexcept;
  Result<void> flush(bool wrote_data);
  bool wants_flush() const;

  // Where the footer stands, bytes.
  uint64_t data_end() const { return space_.tail(); }

 private:
  Result<uint32_t> entry_of(uint64_t block) const;
  Result<Reservation> reserve_new(const Range& want);
  Result<void> write_bitmap(uint64_t offset);
  // sectors: of the block, as bytes from its start. offset: of its bitmap.
  Result<void> set_bits_of(uint64_t offset, const Range& sectors);

  const FilePtr file_;
  const Parsed parsed_;
  const std::shared_ptr<PageCache> tables_;
  PageTable& pointers_;
  BlockSpace space_;
  TableBehindCut second_;  // the pointers
  FlushOrder order_;

  Mutex begin_;
  bool begun_ GUARDED_BY(begin_) = false;
};

}  // namespace platter::vhd
