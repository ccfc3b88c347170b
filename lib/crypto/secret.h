// Secret: bytes that must not be left lying about: passphrases, keys.
#pragma once

#include <utility>

#include "lib/base/range.h"

namespace platter {

// Memory of its own, left out of core dumps, kept out of swap where the host allows it, and wiped
// when it goes. It moves and is never copied by itself. Thread safety: that of its bytes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(size_t size);  // bytes, all zero
  static Secret copy_of(Bytes bytes);
  static Secret random(size_t size);
  ~Secret();
  Secret(Secret&& other) noexcept
      : memory_(std::exchange(other.memory_, {})), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }

  MutableBytes bytes() { return memory_.first(size_); }
  Bytes bytes() const { return memory_.first(size_); }
  size_t size() const { return size_; }
  // Keeps the first bytes, at most size(), and wipes the others.
  void cut(size_t size);

 private:
  MutableBytes memory_;  // whole pages
  size_t size_ = 0;
};

// Overwrites; the compiler does not leave that out.
void wipe(MutableBytes bytes);

// Bytes nobody can foretell, fit for keys.
void fill_random(MutableBytes out);

// Takes as long for any two of one size.
bool equal_in_constant_time(Bytes a, Bytes b);

// No core dump of this process from here on, and no debugger of another one at it: the cipher keeps
// keys in memory of its own. For programs, not for the library to decide.
void forbid_core_dumps();

}  // namespace platter
