// The formats under the contract: everything a test needs to know of one to write to it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/container/writer.h"

namespace platter::test {

struct Subject {
  std::string name;
  bool can_resize = false;
  uint64_t disk_size = 0;  // a few blocks, and not a multiple of one
  // An empty disk in a new file; synced.
  std::function<Result<void>(const FilePtr&)> create;
  std::function<Result<ImagePtr>(const FilePtr&, Epochs&, bool writable)> open;
  // What the format's own check finds in a file beyond leaks; empty: nothing.
  std::function<std::optional<std::string>(const FilePtr&)> fault;
};

// Every format that can be written.
std::vector<Subject> subjects();

// A disk of one subject, perhaps over a parent, opened for writing.
class TestDisk {
 public:
  TestDisk(const Subject& subject, const FilePtr& file, const Image* parent = nullptr,
           WriterOptions options = {.flush_every_ms = 0});

  Result<void> write(const Range& range, std::byte value);
  Writer& writer() { return *writer_; }
  const View& view() const { return *view_; }
  std::vector<std::byte> contents() const;

 private:
  Epochs epochs_;
  BlockCache blocks_{64 * KiB};
  ImagePtr image_;
  ViewPtr view_;
  std::unique_ptr<Writer> writer_;
};

// What a file of the subject reads as, opened for reading; a gtest failure when it does not open.
std::vector<std::byte> contents_of(const Subject& subject, const FilePtr& file,
                                   const Image* parent = nullptr);

// A parent of the subject's size: 0xee with holes in it.
class TestParent {
 public:
  explicit TestParent(const Subject& subject);
  const Image* image() const { return image_.get(); }

 private:
  Epochs epochs_;
  ImagePtr image_;
};

}  // namespace platter::test
