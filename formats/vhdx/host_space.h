// HostSpace: where in the file new blocks go, and when the place of a dropped one may be used
// again.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "formats/vhdx/block_scan.h"
#include "lib/base/sync.h"
#include "lib/image/epochs.h"

namespace platter::vhdx {

// Hands out places: those that were given up first, else at the end of the file. A dropped one goes
// through quarantine: it is free only when the flush that dropped the last entry for it has
// finished, and every request that began before that flush ended has been answered. Thread safe.
class HostSpace {
 public:
  HostSpace(FilePtr file, uint64_t block_size, Epochs& epochs)
      : file_(std::move(file)), block_size_(block_size), epochs_(epochs) {}

  // The gaps between what is in use are free. The file, of whole units, goes on behind its end.
  void start(const UnitsInUse& in_use, uint64_t file_size);

  struct Place {
    uint64_t at = 0;      // bytes
    bool zeroed = false;  // it is in the file and reads as zeroes
  };
  // For a block. zeroed: it had better be.
  Result<Place> take(bool zeroed);
  // At the end of the file, zeroed; length: whole units.
  Result<uint64_t> append(uint64_t length);
  // So many bytes of the place may have been written.
  void give_back(uint64_t at);
  // The entry that pointed at it is changed in memory.
  void dropped(uint64_t at);
  // Whether there is something for a flush to do.
  bool any_dropped() const;

  // Around a flush: what was dropped before it, and that the drop is durable, or failed to be.
  using Batch = std::vector<uint64_t>;
  Batch take_dropped();
  void put_back(const Batch& batch);
  // What has left quarantine is given back to the host.
  void drop_is_durable(Batch batch);

  // Zeroes in a block's place, if the host can make them without writing.
  bool make_zero(uint64_t at, File::Zero how) const;

  uint64_t file_end() const;  // bytes

 private:
  Batch end_quarantine() EXCLUDES(mutex_);

  const FilePtr file_;
  const uint64_t block_size_;
  Epochs& epochs_;
  mutable Mutex mutex_;
  uint64_t end_ GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, bool> free_ GUARDED_BY(mutex_);  // places, and whether they are zeroed
  Batch dropped_ GUARDED_BY(mutex_);
  struct Waiting {
    uint64_t moment;
    Batch places;
  };
  std::deque<Waiting> quarantine_ GUARDED_BY(mutex_);
};

}  // namespace platter::vhdx
