// The write path: the only place where guest bytes are written into an image.
#pragma once

#include "lib/container/discard_memory.h"
#include "lib/container/range_lock.h"
#include "lib/container/view.h"

namespace platter {

// What a write of zeroes may do.
enum class Zeroes : unsigned char {
  detect,  // allocates nothing where nothing is; hides a parent's data by an explicit zero
  keep,    // is stored like any other data
  own,     // as detect, but what the image has nothing of becomes its own, whatever its parent has
};

// The disk a writer sees: the view it maps and reads, and the top image of that view.
struct Writable {
  const View& view;
  Image& top;
  RangeLock& ranges;
  DiscardMemory& dead;
  Zeroes zeroes = Zeroes::detect;
  // False: what is written and reads so already, out of a parent, is left out. Costs a read.
  bool store_same = true;
};

// Writes data at offset, all inside the disk. After an error any part of the range holds old or new
// bytes. Thread safe; may run beside itself, reads and flushes. Not durable before a flush.
Result<void> cow_write(const Writable& disk, uint64_t offset, Bytes data);

// Makes the range read as zeroes, freeing its space or keeping it. The same rules. Pieces of a
// block that are freed one after the other free the block with the last one.
Result<void> cow_zero(const Writable& disk, Range range, File::Zero how);

}  // namespace platter
