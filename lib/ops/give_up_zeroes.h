// The first half of a compaction: zeroes that an image stores.
#pragma once

#include "lib/base/progress.h"
#include "lib/container/layout.h"

namespace platter {

// Blocks of which top, the first layer of the disk, stores nothing but zeroes become zeroes without
// data, where its format can say that, and else holes of the host's file where that can be; the
// disk stays what it is. Compressed blocks stay, too: they are small. threads, at least 1, read
// ahead. Nobody else changes the disk meanwhile. What was done is durable on return, also after an
// error or Errc::cancelled.
Result<void> give_up_zeroes(const Layout& layout, Image& top, unsigned threads, Progress& progress);

}  // namespace platter
