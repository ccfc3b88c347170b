// Served: what one mount serves, shared by every request.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>

#include "fusefs/disk.h"
#include "fusefs/notifier.h"
#include "fusefs/open_files.h"
#include "fusefs/options.h"
#include "fusefs/tree.h"
#include "lib/base/sync.h"
#include "lib/io/posix_file.h"

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

struct Served {
  Served(Container& image, Descriptor home, const MountOptions& options, unsigned workers);

  Disk& disk(const Node& node) const EXCLUDES(disks_mutex) {
    const ReadLock lock(disks_mutex);
    return *disks[node.disk];
  }
  // As Container::change_snapshots(); the tree shows what came of it.
  Result<void> change_snapshots(const SnapshotRequest& request) EXCLUDES(disks_mutex);

  Container& container;
  Tree tree;
  mutable SharedMutex disks_mutex;
  // By Node::disk. None ever goes while the mount lives.
  std::vector<std::unique_ptr<Disk>> disks GUARDED_BY(disks_mutex);
  // Constant while the mount lives.
  Descriptor directory;  // the one that holds the image, for statfs
  Ownership ownership;
  unsigned threads;
  bool resize;                    // truncate() may make the disk larger
  bool direct;                    // the kernel keeps no pages of any disk
  int64_t since;                  // seconds since 1970
  std::function<void()> on_init;  // runs once, before the kernel has its answer to INIT

  Counters counters;
  WriteCounters write_counters;
  // disk.raw has been opened: the kernel may have pages of it.
  std::atomic<bool> disk_opened{false};
  Notifier* notifier = nullptr;  // set before the first request when the disk can be written
  OpenFiles open_files;
};

}  // namespace platter::fusefs
