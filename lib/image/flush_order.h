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
  // tables: each is durable before the next one is written. The first may be written at any time
  // beside guest bytes: it holds what others rely on (counts), and never points anywhere.
  FlushOrder(std::vector<FilePtr> data, FilePtr meta, std::vector<Table*> tables);

  // On return everything written and published before the call is durable. The tables are copied
  // from the last to the first: what a pointer relies on changes before it does. The first is
  // written; all files are synced, so that neither data nor counts can come after a pointer to
  // them; then each table that has changed is written and synced.
  Result<void> flush() EXCLUDES(one_at_a_time_);

  // The first table alone; durable only after the next sync of its file.
  Result<void> write_first() EXCLUDES(one_at_a_time_);

 private:
  using Copies = std::vector<Table::Pages>;  // as tables_

  Result<void> write_all(const Copies& copies);
  Result<void> sync_data();
  void settle(const Copies& copies, bool done);

  const std::vector<FilePtr> files_;  // each once, meta among them
  const FilePtr meta_;
  const std::vector<Table*> tables_;
  Mutex one_at_a_time_;
};

}  // namespace platter
