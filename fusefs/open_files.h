// What the files of a mount that are open are.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "fusefs/disk.h"
#include "lib/base/sync.h"

namespace platter::fusefs {

struct Served;

// One open(): the kernel keeps its address until it is released.
struct OpenFile {
  Served* served = nullptr;        // null: error.txt; it stays open with the file
  const Disk* disk = nullptr;      // null: a text
  std::optional<Range> partition;  // of the disk; none: all of it, which may grow
  std::string text;                // what it was when it was opened
  bool writing = false;            // not only for reading
  bool cached = true;              // the kernel keeps pages of it

  // The bytes of the disk it shows.
  Range window(uint64_t disk_size) const { return partition.value_or(Range{0, disk_size}); }
};

// Owns them, also those that are never released since the mount ends before. Thread safe.
class OpenFiles {
 public:
  OpenFile& add(std::unique_ptr<OpenFile> file) {
    const MutexLock lock(mutex_);
    OpenFile& added = *file;
    files_.emplace(&added, std::move(file));
    return added;
  }
  void remove(const OpenFile& file) {
    const MutexLock lock(mutex_);
    files_.erase(&file);
  }
  bool has(const Disk& disk) const {
    const MutexLock lock(mutex_);
    return std::any_of(files_.begin(), files_.end(),
                       [&](const auto& file) { return file.second->disk == &disk; });
  }
  size_t count() const {
    const MutexLock lock(mutex_);
    return files_.size();
  }

 private:
  mutable Mutex mutex_;
  std::unordered_map<const OpenFile*, std::unique_ptr<OpenFile>> files_ GUARDED_BY(mutex_);
};

}  // namespace platter::fusefs
