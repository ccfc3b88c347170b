// ReplayedFile: a VHDX as it is once its log has been replayed, without a byte of it changed.
#pragma once

#include <map>

#include "formats/vhdx/log.h"
#include "lib/io/file.h"

namespace platter::vhdx {

// Read-only. Thread safe. Memory: a few words a page the log writes; the pages stay in the log.
class ReplayedFile final : public File {
 public:
  // replay: of file, whose size is file_size bytes.
  ReplayedFile(FilePtr file, const LogReplay& replay, uint64_t file_size);

  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override;
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> sync() override { return {}; }
  Result<Run> run_at(uint64_t offset) const override;
  // None of what the log changes: the kernel would read what the file has there.
  const std::byte* kernel_view(const Range& range) const override;

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override;
  void put(const LogWrite& write);
  // The piece that holds offset, or null; next: where the next one begins.
  const LogWrite* piece_at(uint64_t offset, uint64_t& next) const;

  const FilePtr file_;
  const uint64_t file_size_;
  uint64_t size_;
  std::map<uint64_t, LogWrite> pieces_;  // by where they begin; none overlaps another
};

// The same on disk, and the log is empty afterwards; durable when it returns. A crash on the way
// leaves a log that is replayed again.
Result<void> replay_on_disk(File& file, Headers& headers, const LogReplay& replay);

}  // namespace platter::vhdx
