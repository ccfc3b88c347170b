// BlockCache: decompressed units, bounded as a whole; one serves all images of a chain.
#pragma once

#include <list>
#include <memory>
#include <new>
#include <span>
#include <unordered_map>
#include <vector>

#include "lib/base/cache_use.h"
#include "lib/base/sync.h"
#include "lib/base/team.h"
#include "lib/image/extent.h"

namespace platter {

// Allocates what is written before it is read: nothing is cleared first.
template <class T>
struct UnclearedAllocator : std::allocator<T> {
  template <class U>
  struct rebind {  // NOLINT(readability-identifier-naming): the standard's name
    using other = UnclearedAllocator<U>;
  };
  template <class U>
  void construct(U* place) noexcept {
    ::new (static_cast<void*>(place)) U;
  }
};

// Thread safe. No lock is held while a unit is read or decoded; of several threads that want the
// same unit one decodes it and the others wait.
class BlockCache {
 public:
  using Block = std::vector<std::byte, UnclearedAllocator<std::byte>>;
  using BlockPtr = std::shared_ptr<const Block>;

  // capacity: bytes of decoded units kept; the latest one is, however large.
  explicit BlockCache(uint64_t capacity) : capacity_(capacity) {}

  // The decoded unit of an encoded extent: extent.unit.length bytes.
  Result<BlockPtr> get(const Extent& extent);

  // The guest bytes of an encoded extent. A whole unit that is not kept is decoded where it is
  // wanted, and not kept either.
  Result<void> read(const Extent& extent, MutableBytes out);

  // The units of several encoded extents, in their order, decoded side by side on the cores that
  // are idle; or the first error in that order. Starts threads when it is first called.
  Result<std::vector<BlockPtr>> get_all(std::span<const Extent> extents);

  // Decodes those that are not kept nor being decoded, side by side, for who asks for them soon.
  // One that fails is left to who does.
  void prepare(std::span<const Extent> extents);

  uint64_t capacity() const { return capacity_; }  // bytes
  // Units that were kept, or being decoded, when they were asked for, and that had to be decoded.
  CacheUse use();

 private:
  // All that decides what the unit's bytes are: a hostile table may name the same stored bytes with
  // other lengths.
  struct Key {
    const File* file;
    uint64_t host;
    const Codec* codec;
    uint32_t stored;
    uint64_t length;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  struct Entry {
    BlockPtr block;  // null: being decoded
    std::list<Key>::iterator place;
  };

  // Gives up the place of a unit that is being decoded, and wakes who waits for it.
  class Claim;

  static Key key_of(const Extent& extent) {
    return {extent.file, extent.host, extent.codec, extent.stored, extent.unit.length};
  }
  static Result<void> decode(const Extent& extent, MutableBytes unit);
  bool knows(const Extent& extent);
  void keep(const Key& key, const BlockPtr& block) REQUIRES(mutex_);

  const uint64_t capacity_;
  Mutex mutex_;
  CondVar decoded_;
  uint64_t used_ GUARDED_BY(mutex_) = 0;
  CacheUse use_ GUARDED_BY(mutex_);
  std::list<Key> recent_ GUARDED_BY(mutex_);  // the latest used first
  std::unordered_map<Key, Entry, Hash> entries_ GUARDED_BY(mutex_);
  Team team_{Team::useful_size()};
};

}  // namespace platter
