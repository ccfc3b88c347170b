// Finite state entropy as LZFSE has it: tables that turn states and bits into symbols, and the
// stream of bits they read, backwards.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "lib/base/endian.h"

namespace platter {

// A stream that is read from its last bit to its first. Thread safety: none.
class BackwardBits {
 public:
  // missing: so many bits of the last byte, 0 to 7, are not the stream's.
  BackwardBits(Bytes bytes, unsigned missing) : bytes_(bytes), left_(8 * bytes.size()) {
    if (missing > left_) {
      failed_ = true;
      return;
    }
    // Writers leave them zero.
    if (take(missing) != 0) failed_ = true;
  }

  // The next n bits as a number, n up to 56. Behind the end: 0, and failed().
  uint64_t take(unsigned n) {
    if (n > left_) {
      failed_ = true;
      return 0;
    }
    left_ -= n;
    const size_t at = left_ / 8;
    le64 word;
    if (bytes_.size() - at >= sizeof word) {
      std::memcpy(&word, bytes_.data() + at, sizeof word);
    } else if (n != 0) {
      std::memcpy(&word, bytes_.data() + at, bytes_.size() - at);
    }
    return (word >> (left_ % 8)) & ((uint64_t{1} << n) - 1);
  }

  bool failed() const { return failed_; }

 private:
  Bytes bytes_;
  size_t left_;  // bits
  bool failed_ = false;
};

// A symbol has as many states as its frequency says, in a row, in the order of the symbols. From
// one of them to the next state: its delta, and so many bits of the stream.
struct FseStep {
  uint16_t symbol = 0;
  uint16_t delta = 0;
  uint8_t bits = 0;
};

// kStates: a power of two, at most 1024.
template <size_t kStates>
class FseTable {
 public:
  // False: the frequencies are more than the states.
  bool fill(std::span<const uint16_t> frequencies) {
    filled_ = 0;
    for (size_t symbol = 0; symbol < frequencies.size(); ++symbol) {
      const uint32_t f = frequencies[symbol];
      if (f > kStates - filled_) return false;
      if (f != 0) add(static_cast<uint16_t>(symbol), f);
    }
    return true;
  }

  // The symbol of the state, which becomes the next one. False: no symbol has it.
  bool decode(BackwardBits& bits, uint32_t& state, uint32_t& symbol) const {
    if (state >= filled_) return false;
    const FseStep step = steps_[state];
    symbol = step.symbol;
    state = step.delta + static_cast<uint32_t>(bits.take(step.bits));
    return true;
  }

 private:
  // Those of the f states that come first need one bit more than the others: together they lead
  // to each of the kStates states once.
  void add(uint16_t symbol, uint32_t f) {
    const auto most = static_cast<unsigned>(std::bit_width(kStates) - std::bit_width(f));
    const uint32_t with_most = (static_cast<uint32_t>(2 * kStates) >> most) - f;
    for (uint32_t j = 0; j < f; ++j) {
      FseStep& step = steps_[filled_++];
      step.symbol = symbol;
      if (j < with_most) {
        step.bits = static_cast<uint8_t>(most);
        step.delta = static_cast<uint16_t>(((f + j) << most) - kStates);
      } else {
        step.bits = static_cast<uint8_t>(most - 1);
        step.delta = static_cast<uint16_t>((j - with_most) << (most - 1));
      }
    }
  }

  std::array<FseStep, kStates> steps_ = {};
  size_t filled_ = 0;  // states that have a symbol
};

}  // namespace platter
