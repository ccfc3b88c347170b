// View: a stack of image layers, the disk as its guest sees it.
#pragma once

#include <memory>
#include <vector>

#include "lib/container/block_cache.h"
#include "lib/image/image.h"

namespace platter {

// Immutable. Thread safe. The images and the block cache belong to the Container and outlive it.
class View {
 public:
  struct Layer {
    const Image* image = nullptr;
    SnapshotId snapshot = 0;
  };

  // layers: the top first, at least one.
  View(std::vector<Layer> layers, BlockCache& blocks);

  uint64_t size() const { return size_; }  // bytes
  const std::vector<Layer>& layers() const { return layers_; }

  // Where want.offset is. The extent is cut to want. absent: no layer has it, it reads as zeroes.
  struct Mapped {
    Extent extent;
    size_t depth = 0;  // index of the layer that said so; of an absent one, of the last that could
  };
  // Errc::out_of_range unless want is inside the disk and not empty.
  Result<Mapped> map(const Range& want) const;

  // The guest's bytes; Errc::out_of_range unless all of them are inside the disk.
  Result<void> read(uint64_t offset, MutableBytes out) const;

  BlockCache& blocks() const { return blocks_; }

 private:
  std::vector<Layer> layers_;
  BlockCache& blocks_;
  uint64_t size_;
};
using ViewPtr = std::shared_ptr<const View>;

}  // namespace platter
