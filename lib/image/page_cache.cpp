#include "lib/image/page_cache.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace platter {

PageCache::PageCache(uint64_t capacity)
    : pages_per_shard_(std::max<uint64_t>(1, capacity / kPageSize / kShards)) {}

size_t PageCache::Hash::operator()(const Key& key) const {
  // Fibonacci hashing: neighbouring pages must not share a shard, nor files a pattern.
  const uint64_t mixed = (reinterpret_cast<uintptr_t>(key.file) >> 4) ^ key.index;
  return (mixed * 0x9e3779b97f4a7c15) >> 20;
}

PageCache::PagePtr PageCache::find(Shard& shard, const Key& key, uint64_t& forgets) {
  const MutexLock lock(shard.mutex);
  forgets = shard.forgets;
  const auto found = shard.pages.find(key);
  if (found == shard.pages.end()) {
    ++shard.use.misses;
    return nullptr;
  }
  ++shard.use.hits;
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  return found->second->second;
}

bool PageCache::keep(Shard& shard, const Key& key, const PagePtr& page, uint64_t forgets) {
  const MutexLock lock(shard.mutex);
  if (shard.forgets != forgets) return false;
  if (shard.pages.contains(key)) return true;
  shard.recent.emplace_front(key, page);
  shard.pages.emplace(key, shard.recent.begin());
  if (shard.pages.size() <= pages_per_shard_) return true;
  shard.pages.erase(shard.recent.back().first);
  shard.recent.pop_back();
  return true;
}

void PageCache::forget(const File& file, uint64_t offset) {
  const Key key{&file, offset / kPageSize};
  Shard& shard = shards_[Hash{}(key) % kShards];
  const MutexLock lock(shard.mutex);
  ++shard.forgets;
  const auto found = shard.pages.find(key);
  if (found == shard.pages.end()) return;
  shard.recent.erase(found->second);
  shard.pages.erase(found);
}

void PageCache::forget(const File& file) {
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    ++shard.forgets;
    for (auto page = shard.recent.begin(); page != shard.recent.end();) {
      if (page->first.file == &file) {
        shard.pages.erase(page->first);
        page = shard.recent.erase(page);
      } else {
        ++page;
      }
    }
  }
}

CacheUse PageCache::use() {
  CacheUse sum;
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    sum.hits += shard.use.hits;
    sum.misses += shard.use.misses;
  }
  return sum;
}

Result<PageCache::PagePtr> PageCache::page(const File& file, uint64_t offset) {
  const Key key{&file, offset / kPageSize};
  Shard& shard = shards_[Hash{}(key) % kShards];
  for (;;) {
    uint64_t forgets = 0;
    if (PagePtr page = find(shard, key, forgets)) return page;
    auto page = std::make_shared<Page>();
    page->valid = TRY(file.read_available(key.index * kPageSize, page->bytes));
    if (keep(shard, key, page, forgets)) return PagePtr(std::move(page));
  }
}

Result<void> PageCache::read_bytes(const File& file, uint64_t offset, MutableBytes out) {
  while (!out.empty()) {
    const PagePtr page = TRY(this->page(file, offset));
    const size_t in_page = offset % kPageSize;
    if (in_page >= page->valid) {
      return Error(Errc::corrupt, fmt::format("truncated: nothing at {}", offset));
    }
    const size_t n = std::min(out.size(), page->valid - in_page);
    std::memcpy(out.data(), page->bytes.data() + in_page, n);
    offset += n;
    out = out.subspan(n);
  }
  return {};
}

}  // namespace platter
