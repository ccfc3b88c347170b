// Served: one container of a mount, opened, shared by every request that is about it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fusefs/disk.h"
#include "fusefs/notifier.h"
#include "fusefs/open_files.h"
#include "fusefs/options.h"
#include "fusefs/tree.h"
#include "lib/base/sync.h"

namespace platter::fusefs {

// Counted for info.json; a cache line of their own, since every request writes them.
struct alignas(64) Counters {
  std::atomic<uint64_t> reads{0}, bytes_read{0}, read_ns{0};
};
// These too, but seldom by the threads that read.
struct alignas(64) WriteCounters {
  std::atomic<uint64_t> writes{0}, bytes_written{0}, write_ns{0};
  std::atomic<uint64_t> zeroes{0};      // fallocate(): punched or zeroed
  std::atomic<uint64_t> flushes{0};     // fsync() and close()
  std::atomic<uint64_t> attributes{0};  // getxattr()
};

// Adds the time it lives to a count, in nanoseconds.
class Stopwatch {
 public:
  explicit Stopwatch(std::atomic<uint64_t>& count) : count_(count) {}
  ~Stopwatch() {
    const std::chrono::nanoseconds lived = std::chrono::steady_clock::now() - start_;
    count_.fetch_add(static_cast<uint64_t>(lived.count()), std::memory_order_relaxed);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  std::atomic<uint64_t>& count_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// What is the same for all containers of a mount, and constant while it lives.
struct ServedBy {
  Ownership ownership;
  std::string snapshot;  // this state is the disk; empty: the live one
  unsigned threads = 0;
  bool resize = false;           // truncate() may make the disk larger
  bool direct = false;           // the kernel keeps no pages of any disk
  bool lasting = false;          // the container is open as long as the mount lives
  bool thrown_away = false;      // with the container goes what was written to it
  int64_t since = 0;             // seconds since 1970
  Notifier* notifier = nullptr;  // set before the first request when a disk can be written
};

// The numbers that nodes know a container's states by. They outlive it: what the kernel has of a
// state must not be of another one when the container is opened again. None is used twice.
using StateNumbers = std::unordered_map<std::string, uint32_t>;

struct Served : std::enable_shared_from_this<Served> {
  // number: of the container in the mount. numbers: used by this one alone as long as it lives.
  Served(std::unique_ptr<Container> opened, uint32_t number, const ServedBy& mount,
         StateNumbers& numbers);

  Disk& disk(const Node& node) const EXCLUDES(disks_mutex) {
    const ReadLock lock(disks_mutex);
    return *disks[node.disk];
  }
  // As Container::change_snapshots(); the tree shows what came of it.
  Result<void> change_snapshots(const SnapshotRequest& request) EXCLUDES(disks_mutex);

  const std::unique_ptr<Container> owned;
  Container& container;
  const ServedBy& by;
  Tree tree;
  mutable SharedMutex disks_mutex;
  // By Node::disk; null: a state that is gone. None ever goes while the container is open.
  std::vector<std::unique_ptr<Disk>> disks GUARDED_BY(disks_mutex);
  StateNumbers& state_numbers GUARDED_BY(disks_mutex);
  Counters counters;
  WriteCounters write_counters;
  // disk.raw has been opened: the kernel may have pages of it.
  std::atomic<bool> disk_opened{false};
  OpenFiles open_files;

  void number_states() REQUIRES(disks_mutex);

  // The first time it is asked of that inode: what the kernel has of it may be of another time.
  bool is_first_open(uint64_t inode) EXCLUDES(opened_mutex) {
    const MutexLock lock(opened_mutex);
    return opened_inodes.insert(inode).second;
  }
  Mutex opened_mutex;
  std::unordered_set<uint64_t> opened_inodes GUARDED_BY(opened_mutex);
};

}  // namespace platter::fusefs
