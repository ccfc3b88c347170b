// MemoryDisk: bytes in memory as a disk, through the raw format, for tests of what reads a View.
#pragma once

#include "lib/container/view.h"
#include "lib/io/memory_file.h"

namespace platter::test {

// blocks comes first: the view refers to it.
struct MemoryDisk {
  std::unique_ptr<BlockCache> blocks;
  ImagePtr image;
  ViewPtr view;
};

// Throws when the raw format refuses the file.
MemoryDisk memory_disk(std::shared_ptr<MemoryFile> file);

}  // namespace platter::test
