// Progress: how far a long operation has come, and whether the user still wants it.
#pragma once

#include <cstdint>

namespace platter {

class Progress {
 public:
  virtual ~Progress() = default;
  // done, total: bytes of the disk, done <= total. Called by the thread that runs the operation,
  // often: it is for the other side to leave some out.
  virtual void advance(uint64_t done, uint64_t total) = 0;
  // The operation ends soon with Errc::cancelled, and leaves nothing behind. Thread safe.
  virtual bool cancelled() const = 0;
};

// For who has nobody to tell.
class NoProgress final : public Progress {
 public:
  void advance(uint64_t /*done*/, uint64_t /*total*/) override {}
  bool cancelled() const override { return false; }
};

}  // namespace platter
