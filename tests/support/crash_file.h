// CrashFile: a File in memory that knows which of its bytes would survive a power cut.
#pragma once

#include <memory>
#include <random>
#include <shared_mutex>
#include <vector>

#include "lib/io/memory_file.h"

namespace platter::test {

// Thread safe. What was written before the last sync() is durable; of what came after, a crash
// keeps any subset, torn at 512 bytes.
class CrashFile final : public File {
 public:
  explicit CrashFile(std::string name = "crash") : name_(std::move(name)), now_(name_) {}
  // Begins with what another file holds, all of it durable.
  explicit CrashFile(const File& contents);

  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override { return now_.stat(); }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> sync() override;
  Result<bool> make_zero(const Range& range, Zero how) override;
  Result<Run> run_at(uint64_t offset) const override { return now_.run_at(offset); }

  // The file after a power cut at this moment. Different draws of the generator keep different
  // subsets; all and nothing are among them.
  std::shared_ptr<MemoryFile> crash(std::mt19937_64& random) const;
  // Changes since the last sync.
  size_t unsynced() const;

 private:
  struct Change {
    uint64_t offset = 0;  // the new size when data is empty
    std::vector<std::byte> data;
  };

  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    return now_.read_available(offset, out);
  }
  static Result<void> apply(File& file, const Change& change);

  std::string name_;
  MemoryFile now_;
  mutable std::shared_mutex mutex_;  // guards what follows
  MemoryFile durable_{"durable"};
  std::vector<Change> pending_;
};

}  // namespace platter::test
