// BlockSpace: where new blocks of a VHD go. In the gaps that the file has; else at its end, once
// the footer stands behind.
#pragma once

#include <atomic>
#include <vector>

#include "formats/vhd/layout.h"
#include "lib/image/flush_order.h"

namespace platter::vhd {

// The file ends with a footer at every moment, whatever a power cut loses: the footer is durable
// behind the room for new blocks before the first byte of one takes its old place. (Without that
// the file could end with guest data, which may look like a footer.) So that not every block costs
// a sync, room is made for more and more of them; what is left of it a flush cuts off, to which
// this is the first Table: the footer is written where the blocks end, the file is synced, and then
// cut (TableBehindCut).
// Thread safe.
class BlockSpace final : public Table {
 public:
  // footer: the one that stands at the end; stride: bytes of a block in the file.
  BlockSpace(FilePtr file, const Footer& footer, uint64_t stride)
      : file_(std::move(file)), footer_(footer), stride_(stride) {}

  // Before the first take(). gaps: with room for a block each, in order; tail: where the footer
  // stands, a multiple of a sector.
  void start(std::vector<Range> gaps, uint64_t tail);

  struct Place {
    uint64_t offset = 0;  // bytes
    bool zeroed = false;  // all of it behind its first sector reads as zeroes
  };
  // Errc::no_space: the format has no numbers for more.
  Result<Place> take();
  // Was taken, and nothing points at it.
  void give_back(uint64_t offset);

  // Where the footer stands.
  uint64_t tail() const { return tail_.load(); }
  void set_tail(uint64_t tail) { tail_.store(tail); }

  Pages take_dirty() override;
  Result<void> write(const Pages& pages) override;
  void written(const Pages& /*pages*/) override {}
  void put_back(const Pages& /*pages*/) override {}

  // Cuts the file behind the footer that write() put where the blocks end, if they still end there.
  // To be called once that is durable.
  void cut();

 private:
  Result<void> make_room() REQUIRES(mutex_);
  Result<void> put_footer(uint64_t blocks) REQUIRES(mutex_);

  const FilePtr file_;
  const Footer footer_;
  const uint64_t stride_;
  std::atomic<uint64_t> tail_{0};
  Mutex mutex_;
  std::vector<Range> gaps_ GUARDED_BY(mutex_);  // the lowest last
  uint64_t end_ GUARDED_BY(mutex_) = 0;         // of the blocks at the end, bytes
  uint64_t ahead_ GUARDED_BY(mutex_) = 1;       // blocks there will be room for next
  uint64_t next_tail_ GUARDED_BY(mutex_) = 0;   // where write() put a footer; 0: nowhere
};

// What is written after the first sync of a flush, and in front of the last: so that the cut needs
// no sync of its own.
class TableBehindCut final : public Table {
 public:
  TableBehindCut(BlockSpace& space, Table& table) : space_(space), table_(table) {}

  Pages take_dirty() override { return table_.take_dirty(); }
  Result<void> write(const Pages& pages) override {
    space_.cut();
    return table_.write(pages);
  }
  void written(const Pages& pages) override { table_.written(pages); }
  void put_back(const Pages& pages) override { table_.put_back(pages); }

 private:
  BlockSpace& space_;
  Table& table_;
};

}  // namespace platter::vhd
