// PageTable: a table of an image file (block map, L1, L2, refcounts), changed in memory until a
// flush.
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>

#include "lib/image/flush_order.h"
#include "lib/image/page_cache.h"

namespace platter {

// Clean pages live in the shared PageCache, changed ones here until they are in the file. Tables
// may share a page of the file, never a byte. Thread safe; a look-up in a table without changes
// takes no lock of this class.
class PageTable final : public Table {
 public:
  // where: the only bytes of the file this table ever writes.
  PageTable(FilePtr file, Range where, std::shared_ptr<PageCache> clean);

  // The page that holds the byte at offset (of the file), with all changes stored so far.
  Result<PageCache::PagePtr> page(uint64_t offset) const;

  // The T at offset, which may cross pages; Errc::corrupt past the end of the file.
  template <DiskStruct T>
  Result<T> read(uint64_t offset) const {
    T value;
    TRY(read_bytes(offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  // offset: in the table's range; the value does not cross a page.
  template <DiskStruct T>
  Result<void> store(uint64_t offset, const T& value) {
    return store_bytes(offset, as_bytes_of(value));
  }

  // Bytes of pages that wait for a flush.
  uint64_t dirty_bytes() const { return waiting_.load() * PageCache::kPageSize; }

  Pages take_dirty() override;
  Result<void> write(const Pages& pages) override;
  void written(const Pages& pages) override;
  void put_back(const Pages& pages) override;

 private:
  struct Changed {
    PageCache::PagePtr page;
    bool dirty = true;  // changed since the last take_dirty()
  };

  Result<void> read_bytes(uint64_t offset, MutableBytes out) const;
  Result<void> store_bytes(uint64_t offset, Bytes value);

  const FilePtr file_;
  const Range where_;
  const std::shared_ptr<PageCache> clean_;
  mutable Mutex mutex_;
  std::atomic<uint64_t> waiting_{0};  // changed_.size(), readable without the lock
  std::unordered_map<uint64_t, Changed> changed_ GUARDED_BY(mutex_);  // by page index
};

}  // namespace platter
