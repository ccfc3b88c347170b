// Persistent dirty bitmaps: what becomes of them when a program writes that does not keep them.
#pragma once

#include <functional>
#include <optional>

#include "formats/qcow2/parse.h"
#include "lib/image/image.h"

namespace platter::qcow2 {

// Before the first change, and synced by the caller before it. Every bitmap is marked as in use,
// which tells its owner that it no longer knows all changes; unknown autoclear features are
// cleared. A directory that cannot be followed loses its autoclear bit: the bitmaps are gone then,
// and their clusters leak.
Result<void> invalidate_bitmaps(File& file, const Header& header);

// An entry of the bitmap directory.
struct BitmapEntry {
  uint32_t index = 0;
  uint64_t offset = 0;  // in the file
  RawBitmapEntry raw;
};
// False: no more of them.
using VisitBitmap = std::function<Result<bool>(const BitmapEntry&)>;
// Each is inside the directory with all it has. Gives the index of the first that is not; those
// behind it cannot be found.
Result<std::optional<uint32_t>> for_each_bitmap(const File& file, const Header& header,
                                                const VisitBitmap& visit);

// The bitmaps the header has as valid; none of their tables is looked at.
struct BitmapList {
  std::vector<BitmapInfo> list;
  std::string fault;  // why those behind these cannot be found
};
// An error is one of reading.
Result<BitmapList> list_bitmaps(const File& file, const Header& header);

}  // namespace platter::qcow2
