// What some layers of a chain have, copied into the image they are merged into.
#pragma once

#include "lib/base/progress.h"
#include "lib/container/container.h"

namespace platter {

struct LayerCopy {
  // The layers, without those below them: what none of them has is not copied.
  const View& from;
  // The disk that takes it, its top image. Nobody else uses it.
  Writer& to;
  const Layout& layout;  // of that disk
  // from lies below the disk's own image: what that has stays. Else it lies above, and is no
  // larger.
  bool below = false;
  // Where the layers have zeroes the disk shows zeroes without being told: they are left out.
  bool zeroes_show = false;
};

struct CopiedLayers {
  uint64_t copied = 0;  // bytes of data written
  uint64_t zeroed = 0;  // bytes made zero without
};

// Read by several threads, written by one; bounded memory. Not durable before a flush. An error or
// Errc::cancelled leaves a part of it done: while the layers are where they were, what they show
// together with the image stays the same. threads: at least 1.
Result<CopiedLayers> copy_layers(const LayerCopy& copy, unsigned threads, Progress& progress);

}  // namespace platter
