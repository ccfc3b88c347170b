// SourceDisk: what convert and compare read: views laid end to end, zeroes behind them.
#pragma once

#include <vector>

#include "lib/container/view.h"

namespace platter {

// Immutable. Thread safe.
class SourceDisk {
 public:
  // The views' own sizes together, bytes; Errc::invalid when that is more than a file can have.
  static Result<uint64_t> size_of(const std::vector<ViewPtr>& views);

  // views: at least one; size: bytes, at least size_of(views).
  SourceDisk(std::vector<ViewPtr> views, uint64_t size) : views_(std::move(views)), size_(size) {}

  uint64_t size() const { return size_; }

  struct Piece {
    Range range;        // begins where it was asked for; not empty
    bool hole = false;  // reads as zeroes, known without a look at any byte
  };
  // offset: inside the disk.
  Result<Piece> piece_at(uint64_t offset) const;

  // out ends inside the disk.
  Result<void> read(uint64_t offset, MutableBytes out) const;

 private:
  struct Place {
    const View* view;  // null: behind the last one
    uint64_t start;    // of the view, bytes
  };
  Place find(uint64_t offset) const;

  std::vector<ViewPtr> views_;
  uint64_t size_;
};

}  // namespace platter
