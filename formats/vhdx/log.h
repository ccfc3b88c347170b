// The log of a VHDX [2.3], read: which of its entries are to be replayed, and what they say.
#pragma once

#include <vector>

#include "formats/vhdx/headers.h"

namespace platter::vhdx {

// What one descriptor writes, whole pages of 4 KiB.
struct LogWrite {
  Range to;             // bytes of the file
  bool zero = false;    // else one page:
  uint64_t sector = 0;  // where its data sector is in the file
  le64 leading;         // the first bytes of the page
  le32 trailing;        // the last ones
};

struct LogReplay {
  std::vector<LogWrite> writes;  // in their order: later ones count
  uint64_t flushed = 0;          // bytes the file must have
  uint64_t last = 0;             // bytes it has afterwards, at least
};

// header: whose log is not empty. Errc::corrupt: the log has no valid sequence of entries, one of
// them writes where it may not, or ("truncated") the file is shorter than it was. Memory and time
// grow with the log's used part.
Result<LogReplay> read_log(const File& file, const Header& header);

// The page that a write of data makes.
Result<void> read_log_page(const File& file, const LogWrite& write, MutableBytes page);

}  // namespace platter::vhdx
