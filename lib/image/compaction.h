// Compaction: how far a format has come that makes its file shorter.
#pragma once

#include <span>

#include "lib/base/progress.h"
#include "lib/base/range.h"
#include "lib/base/result.h"

namespace platter {

// First everything in the file is looked at, then some of it moves: half of the way each, whatever
// there is to move. One thread.
class Compaction {
 public:
  // bytes: of the file, that will be looked at.
  Compaction(Progress& progress, uint64_t bytes) : progress_(progress), bytes_(bytes) {}

  // Whether it goes on: Errc::cancelled when nobody wants it any more.
  Result<void> go_on() const;
  // So many more bytes were looked at. Errors as of go_on().
  Result<void> looked_at(uint64_t bytes);

  // Moves what there is to move in steps of so many bytes that the syncs of a step cost little, and
  // that a cancelled one ends soon. each: bytes of one move; move: gets some of the moves, in their
  // order, and has moved them durably when it returns.
  template <class Moves, class Move>
  Result<void> in_steps(const Moves& moves, uint64_t each, Move&& move) {
    const size_t step = each >= kStep ? 1 : kStep / each;
    for (size_t at = 0; at < moves.size(); at += step) {
      TRY(go_on());
      TRY(move(std::span(moves).subspan(at, std::min(step, moves.size() - at))));
      advance(bytes_ + share_of(bytes_, at + step, moves.size()));
    }
    TRY(go_on());
    advance(2 * bytes_);
    return {};
  }

 private:
  static constexpr uint64_t kStep = 64 * MiB;

  // bytes * part / whole, without an overflow; part may be more than the whole.
  static uint64_t share_of(uint64_t bytes, size_t part, size_t whole);
  void advance(uint64_t done) { progress_.advance(std::min(done, 2 * bytes_), 2 * bytes_); }

  Progress& progress_;
  const uint64_t bytes_;
  uint64_t looked_at_ = 0;
};

}  // namespace platter
