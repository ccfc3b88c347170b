#include "lib/container/block_cache.h"

#include <cerrno>
#include <cstring>

namespace platter {

size_t BlockCache::Hash::operator()(const Key& key) const {
  return ((reinterpret_cast<uintptr_t>(key.file) >> 4) ^ key.host) * 0x9e3779b97f4a7c15;
}

Result<void> BlockCache::decode(const Extent& extent, MutableBytes unit) {
  // Kept per thread: a compressed unit is at most a cluster, and a fresh buffer would be cleared.
  thread_local std::vector<std::byte> stored;
  if (stored.size() < extent.stored) stored.resize(extent.stored);
  const MutableBytes input = MutableBytes(stored).first(extent.stored);
  TRY(extent.file->read_padded(extent.host, input));
  return extent.codec->decode(input, unit);
}

// Also when decode() throws (out of memory): nobody must wait for a unit that never comes.
class BlockCache::Claim {
 public:
  Claim(BlockCache& cache, const Key& key) : cache_(cache), key_(key) {}
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  ~Claim() {
    const MutexLock lock(cache_.mutex_);
    // A unit that was kept may be gone again by now, and its place another thread's.
    if (!kept_) cache_.entries_.erase(key_);
    cache_.decoded_.notify_all();
  }
  void kept() { kept_ = true; }

 private:
  BlockCache& cache_;
  const Key& key_;
  bool kept_ = false;
};

void BlockCache::keep(const Key& key, const BlockPtr& block) {
  recent_.push_front(key);
  entries_[key] = {block, recent_.begin()};
  used_ += block->size();
  while (used_ > capacity_ && recent_.size() > 1) {
    const auto oldest = entries_.find(recent_.back());
    used_ -= oldest->second.block->size();
    entries_.erase(oldest);
    recent_.pop_back();
  }
}

Result<BlockCache::BlockPtr> BlockCache::get(const Extent& extent) {
  const Key key = key_of(extent);
  {
    const MutexLock lock(mutex_);
    for (;;) {
      const auto found = entries_.find(key);
      if (found == entries_.end()) break;
      if (found->second.block) {
        ++use_.hits;
        recent_.splice(recent_.begin(), recent_, found->second.place);
        return found->second.block;
      }
      decoded_.wait(mutex_);
    }
    ++use_.misses;
    entries_.emplace(key, Entry{nullptr, recent_.end()});
  }
  Claim claim(*this, key);
  auto decoded = std::make_shared<Block>(extent.unit.length);
  TRY(decode(extent, *decoded));
  BlockPtr block = std::move(decoded);
  const MutexLock lock(mutex_);
  keep(key, block);
  claim.kept();
  return block;
}

CacheUse BlockCache::use() {
  const MutexLock lock(mutex_);
  return use_;
}

bool BlockCache::knows(const Extent& extent) {
  const MutexLock lock(mutex_);
  return entries_.contains(key_of(extent));
}

Result<void> BlockCache::read(const Extent& extent, MutableBytes out) {
  if (extent.guest == extent.unit && !knows(extent)) {
    {
      const MutexLock lock(mutex_);
      ++use_.misses;
    }
    return decode(extent, out);
  }
  const BlockPtr unit = TRY(get(extent));
  std::memcpy(out.data(), unit->data() + (extent.guest.offset - extent.unit.offset), out.size());
  return {};
}

void BlockCache::prepare(std::span<const Extent> extents) {
  team_.run(extents.size(), [&](size_t i) {
    try {
      if (!knows(extents[i])) (void)get(extents[i]);
    } catch (const std::bad_alloc&) {
      return;  // who needs it will hear of it
    }
  });
}

Result<std::vector<BlockCache::BlockPtr>> BlockCache::get_all(std::span<const Extent> extents) {
  std::vector<Result<BlockPtr>> results(extents.size(), BlockPtr());
  team_.run(extents.size(), [&](size_t i) {
    try {
      results[i] = get(extents[i]);
    } catch (const std::bad_alloc&) {
      results[i] = Error(Errc::io, "out of memory", ENOMEM);
    }
  });
  std::vector<BlockPtr> units;
  units.reserve(results.size());
  for (Result<BlockPtr>& result : results) {
    if (!result) return std::move(result.error());
    units.push_back(std::move(*result));
  }
  return units;
}

}  // namespace platter
