// A new streamOptimized image: compressed grains one behind the other, written from front to back.
#pragma once

#include <string>

#include "lib/image/image_writer.h"
#include "lib/io/file.h"

namespace platter::vmdk {

inline constexpr uint64_t kMaxStreamGrain = 32 * MiB;

struct NewStream {
  uint64_t size = 0;   // of the disk, bytes, whole sectors
  uint64_t grain = 0;  // bytes, a power of two, at most kMaxStreamGrain
  bool child = false;  // what is not written is a parent's
  Effort effort = Effort::usual;
  std::string descriptor;  // to be embedded; the text has an end
};

// Its encoder() is always set. Memory: 8 bytes for each grain table there is in the file, and a few
// MiB. Errc::invalid: the disk is too large, or the descriptor too long.
Result<ImageWriterPtr> create_stream(FilePtr file, NewStream stream);

}  // namespace platter::vmdk
