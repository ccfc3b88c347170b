// FlushOrder: the one order in which tables reach the disk. fsync, timer, cache pressure and close
// all come through here.
#pragma once

#include <vector>

#include "lib/base/sync.h"
#include "lib/io/file.h"

namespace platter {

// A cache of on-disk pointers or counts whose changes wait in memory. Thread safe.
class Table {
 public:
  struct Page {
    uint64_t offset = 0;  // in the file
    std::vector<std::byte> bytes;
  };
  using Pages = std::vector<Page>;

  virtual ~Table() = default;
  // Copies of what changed. They count as clean from here on, and later changes as new ones.
  virtual Pages take_dirty() = 0;
  // To the file; durable only after its next sync.
  virtual Result<void> write(const Pages& pages) = 0;
  // write() of these pages succeeded (they need no longer be kept), or the flush failed before or
  // in it (they are dirty again, unless changed since).
  virtual void written(const Pages& pages) = 0;
  virtual void put_back(const Pages& pages) = 0;
};

// Thread safe: one flush at a time. Of two that overlapped the older copy of a page could
// overwrite the newer one, and an fsynced pointer would be lost.
class FlushOrder {
 public:
  // data: every file guest bytes may be in; meta: the tables' file, which may be one of them.
  // counts: tables that must be durable before the pointers that rely on them; may be null.
  FlushOrder(std::vector<FilePtr> data, FilePtr meta, Table* counts, Table& pointers);

  // On return everything written and published before the call is durable. Pointers are copied
  // first, then counts (which were raised before their pointers); counts are written; all files are
  // synced, so that neither data nor counts can come after a pointer to them; then the pointers,
  // and the last sync.
  Result<void> flush() EXCLUDES(one_at_a_time_);

 private:
  Result<void> write_all(const Table::Pages& counts, const Table::Pages& pointers);
  Result<void> sync_data();

  const std::vector<FilePtr> files_;  // each once, meta among them
  const FilePtr meta_;
  Table* const counts_;
  Table& pointers_;
  Mutex one_at_a_time_;
};

}  // namespace platter
