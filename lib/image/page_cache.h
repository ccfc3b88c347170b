// PageCache: pages of tables (L1, L2, block maps), read on demand, bounded as a whole.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <unordered_map>

#include "lib/base/cache_use.h"
#include "lib/base/sync.h"
#include "lib/io/file.h"

namespace platter {

// One serves all images of a chain. Pages stay valid for who holds them, in the cache or not.
// Thread safe; no lock is held while a page is read from its file.
class PageCache {
 public:
  static constexpr uint64_t kPageSize = 4096;

  // The bytes of the file in one page: fewer than kPageSize at its end, none past it.
  struct Page {
    size_t valid = 0;
    alignas(8) std::array<std::byte, kPageSize> bytes;
    Bytes view() const { return Bytes(bytes).first(valid); }
  };
  using PagePtr = std::shared_ptr<const Page>;

  // capacity: bytes of pages kept; at least one page a shard is.
  explicit PageCache(uint64_t capacity);

  // The page that holds the byte at offset. The file must outlive the cache's use of it.
  Result<PagePtr> page(const File& file, uint64_t offset);

  // The T at offset, which may cross pages; Errc::corrupt past the end of the file.
  template <DiskStruct T>
  Result<T> read(const File& file, uint64_t offset) {
    T value;
    TRY(read_bytes(file, offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  Result<void> read_bytes(const File& file, uint64_t offset, MutableBytes out);

  // The page at offset was written to the file: whoever asks from now on gets what it holds there.
  void forget(const File& file, uint64_t offset);
  // Any page of it may have been.
  void forget(const File& file);

  // Pages that were there when they were asked for, and that were not.
  CacheUse use();

 private:
  struct Key {
    const File* file;
    uint64_t index;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  using Lru = std::list<std::pair<Key, PagePtr>>;
  struct Shard {
    Mutex mutex;
    Lru recent GUARDED_BY(mutex);  // the latest used first
    std::unordered_map<Key, Lru::iterator, Hash> pages GUARDED_BY(mutex);
    // Counts forget(): a page read from the file before one may be out of date.
    uint64_t forgets GUARDED_BY(mutex) = 0;
    CacheUse use GUARDED_BY(mutex);
  };
  static constexpr size_t kShards = 16;

  // forgets: of the shard at that moment.
  PagePtr find(Shard& shard, const Key& key, uint64_t& forgets);
  // False: something was forgotten meanwhile, so the page may be out of date.
  bool keep(Shard& shard, const Key& key, const PagePtr& page, uint64_t forgets);

  size_t pages_per_shard_;
  std::array<Shard, kShards> shards_;
};

}  // namespace platter
