// ExtentWriter: one extent of a new disk, written front to back.
#pragma once

#include <memory>

#include "formats/vmdk/grain_layout.h"
#include "lib/image/image_writer.h"
#include "lib/io/file.h"

namespace platter::vmdk {

// Offsets count from the start of the extent; otherwise as ImageWriter. Thread safety: one thread.
class ExtentWriter {
 public:
  virtual ~ExtentWriter() = default;
  virtual Result<void> write(uint64_t offset, Bytes data) = 0;
  // False: zeroes have to be written.
  virtual Result<bool> zero(const Range& range) = 0;
  // Durable when it returns. descriptor: to be embedded; empty: none is.
  virtual Result<void> finish(std::string_view descriptor) = 0;
};

struct NewSparse {
  uint64_t size = 0;     // bytes, whole sectors
  uint64_t grain = 0;    // bytes
  bool zeroed = false;   // entries may say that a grain is zero
  bool child = false;    // what is not written is a parent's
  bool embedded = true;  // it has room for the descriptor
};

// Where everything of a new sparse extent lies. Errc::invalid: 32 bits of sectors are too few.
Result<GrainLayout> plan_sparse(const NewSparse& sparse);

std::unique_ptr<ExtentWriter> sparse_writer(FilePtr file, const NewSparse& sparse,
                                            const GrainLayout& layout);
// FLAT and VMFS: the bytes as they are, what is left out is a hole.
std::unique_ptr<ExtentWriter> flat_writer(FilePtr file, uint64_t size);

}  // namespace platter::vmdk
