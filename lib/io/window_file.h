// WindowFile: a part of another File seen as a File of its own.
#pragma once

#include "lib/io/file.h"

namespace platter {

// Read-only. Thread safe. Its end is the window's, or the other file's where that ends earlier.
class WindowFile final : public File {
 public:
  // window: bytes of file; ends at or before kMaxOffset.
  // name: empty is that of file.
  WindowFile(FilePtr file, Range window, std::string name = {})
      : file_(std::move(file)), window_(window), name_(std::move(name)) {}

  const std::string& name() const override { return name_.empty() ? file_->name() : name_; }
  Result<FileStat> stat() const override;
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> sync() override { return file_->sync(); }
  Result<void> lock(LockMode mode) override { return file_->lock(mode); }
  Result<Run> run_at(uint64_t offset) const override;
  const std::byte* kernel_view(const Range& range) const override;

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override;

  FilePtr file_;
  Range window_;
  std::string name_;
};

}  // namespace platter
