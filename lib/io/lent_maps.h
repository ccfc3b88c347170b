// LentMaps: the mappings of files whose pages the kernel reads by itself, kept from holding on to
// every page that was ever read through them.
#pragma once

#include <cstddef>
#include <vector>

#include "lib/base/range.h"
#include "lib/base/sync.h"

namespace platter {

// Pages of a mapping cost page tables, and count as this process's memory, until they are unmapped;
// they stay in the host's page cache all the same. When the process has more of them than the limit
// every mapping is made anew at its address, which nobody who reads it notices. Thread safe.
class LentMaps {
 public:
  static constexpr uint64_t kLimit = 512 * MiB;

  // Those of this process.
  static LentMaps& all();

  explicit LentMaps(uint64_t limit) : limit_(limit) {}

  // fd: what is mapped there from its first byte on, for reading; it stays open until remove().
  void add(const std::byte* address, uint64_t length, int fd) EXCLUDES(mutex_);
  // All mappings of this descriptor; unmaps them.
  void remove(int fd) EXCLUDES(mutex_);

  // Some bytes are about to be read. Looks at the process once in a while.
  void lend() EXCLUDES(mutex_);

 private:
  struct Map {
    void* address = nullptr;
    uint64_t length = 0;  // bytes
    int fd = -1;
  };

  void renew() EXCLUDES(mutex_);

  const uint64_t limit_;  // bytes
  Mutex mutex_;
  std::vector<Map> maps_ GUARDED_BY(mutex_);
};

}  // namespace platter
