// MemoryFile: a File of pages in memory, for tests, fuzzers and dry runs.
#pragma once

#include <array>
#include <map>
#include <memory>

#include "lib/base/sync.h"
#include "lib/io/file.h"

namespace platter {

// Sparse: what was never written takes no memory. Thread safe.
class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::string name = "memory");
  MemoryFile(std::string name, Bytes contents);

  // Holds what the other one does from now on. Pages are shared until one of the two changes them:
  // that takes no time by the size of the file.
  void become(const MemoryFile& other);

  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override;
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> sync() override { return {}; }
  Result<Run> run_at(uint64_t offset) const override;

 private:
  static constexpr uint64_t kPage = 4096;
  using Page = std::array<std::byte, kPage>;
  using PagePtr = std::shared_ptr<Page>;

  // The page to be written to, nobody else's.
  static Page& own(PagePtr& page);

  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override;

  std::string name_;
  mutable Mutex mutex_;
  std::map<uint64_t, PagePtr> pages_ GUARDED_BY(mutex_);
  uint64_t size_ GUARDED_BY(mutex_) = 0;
};

}  // namespace platter
