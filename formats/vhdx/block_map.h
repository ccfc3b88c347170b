// BlockMap: the BAT and the sector bitmaps of a VHDX, and where they say the guest's bytes are.
#pragma once

#include <atomic>

#include "formats/vhdx/parse.h"
#include "lib/image/extent.h"
#include "lib/image/page_table.h"

namespace platter::vhdx {

// Entries are checked when they are used: nobody has looked at them before. Thread safe.
class BlockMap {
 public:
  // header: outlives this. in_place: data may be overwritten where it is.
  BlockMap(FilePtr file, const Parsed& header, const std::shared_ptr<PageCache>& tables,
           bool in_place);

  // As Image::map().
  Result<Extent> find(const Range& want) const;

  // index: of the BAT, below Shape::entries().
  Result<uint64_t> entry(uint64_t index) const;
  Result<void> store(uint64_t index, uint64_t entry);
  // Where the bits of a block are in the file, bytes. Errc::corrupt: it has no bitmap block.
  Result<uint64_t> bits_of(uint64_t block) const;

  PageTable& bat() { return bat_; }
  PageTable& bitmaps() { return bitmaps_; }

  // The file has at least so many bytes.
  void file_reaches(uint64_t end);

 private:
  struct Run {
    uint64_t entry = 0;  // of the first block
    uint64_t blocks = 1;
  };
  // Blocks of one kind, and of one run in the file when they are data. last: the last block asked
  // for.
  Result<Run> run_at(uint64_t block, uint64_t last) const;
  Result<Extent> data(uint64_t block, const Run& run, uint64_t at) const;
  Result<Extent> partial(uint64_t block, uint64_t place, const Range& want) const;
  // Cut to what the file has; at: the guest byte asked for.
  Extent clipped_to_file(const Range& guest, uint64_t host, uint64_t at) const;
  Result<void> check_place(uint64_t block, uint64_t place) const;
  uint64_t place_in_bat(uint64_t index) const { return header_.regions.bat.offset + 8 * index; }

  const FilePtr file_;
  const Parsed& header_;
  const Shape shape_;
  const unsigned block_bits_;
  const bool in_place_;
  PageTable bat_, bitmaps_;
  std::atomic<uint64_t> file_end_;
};

}  // namespace platter::vhdx
