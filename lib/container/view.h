// View: a stack of image layers, the disk as its guest sees it.
#pragma once

#include <memory>
#include <vector>

#include "lib/container/block_cache.h"
#include "lib/image/image.h"

namespace platter {

class ReadCache;

// Immutable. Thread safe. The images and the block cache belong to the Container and outlive it.
class View {
 public:
  struct Layer {
    const Image* image = nullptr;
    SnapshotId snapshot = 0;
  };

  // layers: the top first, at least one.
  View(std::vector<Layer> layers, BlockCache& blocks);
  // What none of the first front layers has is read by way of the cache, which outlives it and has
  // what the others show.
  View(std::vector<Layer> layers, BlockCache& blocks, ReadCache& cache, size_t front);
  // The same layers, in the size that they now have.
  std::shared_ptr<const View> anew() const;

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

  // Null: there is none.
  ReadCache* cache() const { return cache_; }
  // As read(), of a view with a cache. True: every byte came from the cache or the layers in front
  // of it.
  Result<bool> read_through_cache(uint64_t offset, MutableBytes out) const;

 private:
  // Of the first count layers. depth count: none of them has it.
  Result<Mapped> map_first(size_t count, const Range& want) const;
  Result<void> read_extent(const Extent& extent, MutableBytes out) const;

  std::vector<Layer> layers_;
  BlockCache& blocks_;
  uint64_t size_;
  ReadCache* cache_ = nullptr;
  size_t front_ = 0;
  std::unique_ptr<const View> slow_;  // the layers behind the cache
};
using ViewPtr = std::shared_ptr<const View>;

}  // namespace platter
