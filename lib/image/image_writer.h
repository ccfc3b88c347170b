// ImageWriter: makes a new image front to back. What is never written reads as the parent does, or
// as zeroes.
#pragma once

#include <memory>

#include "lib/image/encoder.h"

namespace platter {

// Thread safety: one thread.
class ImageWriter {
 public:
  virtual ~ImageWriter() = default;

  // The unit in which the image allocates, bytes: a caller that leaves out whole zero units makes
  // the smallest file.
  virtual uint64_t block_size() const = 0;

  // offset: bytes, a multiple of block_size(), never below the end of an earlier write; data: whole
  // blocks, but for the one that ends with the disk. All inside the disk.
  virtual Result<void> write(uint64_t offset, Bytes data) = 0;

  // As write() of so many zeroes: they hide what a parent has there.
  virtual Result<void> zero(const Range& range);

  // Of an image that is made compressed, else null: what turns a block into the form it is stored
  // in. unit is a whole block, with zeroes behind the disk's end; stored has max_stored() bytes,
  // for what is longer is not worth the decoding. Lives as long as the program.
  virtual const Encoder* encoder() const { return nullptr; }
  virtual uint64_t max_stored() const { return 0; }
  // As write() of one block, of which encoder() made stored.
  virtual Result<void> write_encoded(uint64_t offset, Bytes stored);

  // Writes what makes the file an image and syncs it. Until then no probe takes it for one.
  virtual Result<void> finish() = 0;
};
using ImageWriterPtr = std::unique_ptr<ImageWriter>;

}  // namespace platter
