// ModelDisk: what a disk must hold, byte by byte, now and after a crash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/range.h"

namespace platter::test {

// A write is one byte value repeated: zero, or 1 to 255. After a crash a byte may be what it was at
// the last flush, or any value written since; nothing else.
class ModelDisk {
 public:
  // initial: what the disk reads as when the history begins, all of it durable.
  explicit ModelDisk(std::vector<std::byte> initial);

  void write(const Range& range, std::byte value);
  // Everything so far is durable.
  void flushed();

  uint64_t size() const { return now_.size(); }
  Bytes now() const { return now_; }
  std::vector<std::byte> contents() const { return now_; }
  // Empty, or what is wrong with the first byte that is not possible after a crash.
  std::optional<std::string> impossible(Bytes after_crash) const;

 private:
  struct Write {
    Range range;
    std::byte value;
  };

  bool is_possible(uint64_t at, std::byte value) const;

  std::vector<std::byte> now_;
  std::vector<std::byte> durable_;  // at the last flush
  std::vector<Write> unflushed_;
};

}  // namespace platter::test
