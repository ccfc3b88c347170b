// A writer that notes which fsync() returned, and the look whether all of that is still there.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace platter::test {

// Files that are replaced, deleted and appended to in a directory of a filesystem, by threads that
// fsync everything they do. Outlives the mounts of the filesystem: what was promised in one has to
// be there in the next.
class PromisedFiles {
 public:
  explicit PromisedFiles(std::string directory) : directory_(std::move(directory)) {}
  ~PromisedFiles() { stop(); }
  PromisedFiles(const PromisedFiles&) = delete;
  PromisedFiles& operator=(const PromisedFiles&) = delete;

  // Threads write until stop(), or until a system call fails. seed: of what they choose.
  void start(uint64_t seed);
  void stop();

  // What was promised and is not there, or is there and was never written; empty: nothing.
  std::string broken() const;
  // fsync() calls that returned.
  uint64_t promises() const { return promises_.load(); }

 private:
  static constexpr unsigned kThreads = 2, kSlots = 40;
  // The version durable for certain and the latest that may be.
  struct Versions {
    std::atomic<uint64_t> promised{0}, tried{0};
  };

  void write_on(unsigned thread, uint64_t seed);
  bool replace(unsigned slot);
  bool append(unsigned thread);
  std::string broken_file(unsigned slot) const;
  std::string broken_log(unsigned thread) const;
  std::string name_of(unsigned slot) const;
  std::string log_of(unsigned thread) const;

  const std::string directory_;
  std::array<Versions, kSlots> files_;
  std::array<std::atomic<uint64_t>, kThreads> records_{};  // durable, of a thread's log
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> promises_{0};
  std::vector<std::thread> threads_;
};

}  // namespace platter::test
