// One pass over a BAT: who uses which unit of the file.
#pragma once

#include <string>
#include <vector>

#include "formats/vhdx/parse.h"

namespace platter::vhdx {

// Memory: a bit a MiB of the file.
class UnitsInUse {
 public:
  // False: some of it was in use before.
  bool add(const Range& host);  // bytes, whole units
  void remove(const Range& host);
  bool contains(uint64_t unit) const { return unit < used_.size() && used_[unit]; }
  // Behind the last one, bytes.
  uint64_t end() const { return used_.size() * kUnit; }
  // How many there are from that one on.
  uint64_t count(uint64_t first = 0) const;

 private:
  std::vector<bool> used_;  // the last one is
};

struct BlockScan {
  static constexpr size_t kMaxFaults = 100;

  UnitsInUse in_use;       // by the header section, the log, regions and blocks
  uint64_t file_size = 0;  // bytes, at that time
  uint64_t blocks = 0;     // with a place in the file, sector bitmaps among them
  // Entries that cannot be right: the first of them, and how many there are.
  std::vector<std::string> faults;
  uint64_t fault_count = 0;

  // Errc::corrupt when there are faults: what seems free might not be.
  Result<void> expect_sound() const;
  // Units at the end of the file that nobody uses.
  uint64_t unused_at_end() const;
};

// file: as the headers say it is. Errc::corrupt: a region or the log does not lie in the file.
Result<BlockScan> scan_blocks(const File& file, const Parsed& header);

// What lies in front of end (bytes) and is not in use is free for new blocks; until then the host
// need not keep it. It may not be able to do without.
void give_back_gaps(File& file, const UnitsInUse& in_use, uint64_t end);

}  // namespace platter::vhdx
