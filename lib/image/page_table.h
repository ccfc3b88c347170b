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
// may share a page of the file, never a unit. Thread safe; a look-up in a table without changes
// takes no lock of this class.
class PageTable final : public Table {
 public:
  // where: the only bytes of the file this table ever writes. unit: bytes, a power of two up to a
  // page's; what is changed and written as one. Guest bytes may change around it at any time.
  PageTable(FilePtr file, Range where, std::shared_ptr<PageCache> clean,
            uint64_t unit = PageCache::kPageSize);

  // The page that holds the byte at offset (of the file), with all changes stored so far in the
  // unit around that byte; of other units it may show an older state.
  Result<PageCache::PagePtr> page(uint64_t offset) const;

  // The T at offset, which may cross pages; Errc::corrupt past the end of the file.
  template <DiskStruct T>
  Result<T> read(uint64_t offset) const {
    T value;
    TRY(read(offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  // Likewise, so many bytes.
  Result<void> read(uint64_t offset, MutableBytes out) const;
  // offset: in the table's range; the value does not cross a page.
  template <DiskStruct T>
  Result<void> store(uint64_t offset, const T& value) {
    return store(offset, as_bytes_of(value));
  }
  // The same, of any size: all of it, or nothing on an error.
  Result<void> store(uint64_t offset, Bytes value);

  // Whole units, whatever the file has there now.
  void replace(uint64_t offset, Bytes units);

  uint64_t unit() const { return unit_; }  // bytes

  // Bytes that wait for a flush.
  uint64_t dirty_bytes() const { return waiting_.load() * unit_; }

  Pages take_dirty() override;
  Result<void> write(const Pages& pages) override;
  void written(const Pages& pages) override;
  void put_back(const Pages& pages) override;

 private:
  struct Changed {
    PageCache::PagePtr page;
    bool dirty = true;  // changed since the last take_dirty()
  };

  const FilePtr file_;
  const Range where_;
  const std::shared_ptr<PageCache> clean_;
  const uint64_t unit_;
  mutable Mutex mutex_;
  std::atomic<uint64_t> waiting_{0};  // changed_.size(), readable without the lock
  std::unordered_map<uint64_t, Changed> changed_ GUARDED_BY(mutex_);  // by unit index
};

}  // namespace platter
