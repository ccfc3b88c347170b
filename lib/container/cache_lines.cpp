#include "lib/container/cache_lines.h"

#include <algorithm>

namespace platter {
namespace {

uint64_t line_of(uint64_t guest) { return guest / kCacheLine; }
unsigned piece_of(uint64_t guest) {
  return static_cast<unsigned>(guest % kCacheLine / kCachePiece);
}

// The pieces of a line that share bytes with the range; both overlap.
uint8_t bits_of(uint64_t line, const Range& range) {
  const Range whole{line * kCacheLine, kCacheLine};
  const Range inside = intersect(whole, range);
  if (inside.empty()) return 0;
  const unsigned first = piece_of(inside.offset), last = piece_of(inside.end() - 1);
  return static_cast<uint8_t>((2U << last) - (1U << first));
}

}  // namespace

CacheLines::CacheLines(uint64_t slots, std::vector<CachedLine> known) : most_(slots) {
  std::ranges::stable_sort(known, {}, &CachedLine::age);
  const MutexLock lock(mutex_);
  for (const CachedLine& line : known) {
    if (line.slot >= slots_.size()) slots_.resize(line.slot + 1);
    slots_[line.slot] = {.line = line_of(line.guest),
                         .checksums = line.checksums,
                         .pieces = line.pieces,
                         .listed = true};
    const auto slot = static_cast<uint32_t>(line.slot);
    by_line_.emplace(line_of(line.guest), slot);
    link_newest(slot);
  }
  // The lowest is taken first.
  for (size_t slot = slots_.size(); slot-- > 0;) {
    if (!slots_[slot].listed) free_.push_back(static_cast<uint32_t>(slot));
  }
}

CacheLines::Found CacheLines::hold(const Range& range) {
  Found found;
  const MutexLock lock(mutex_);
  for (uint64_t at = range.offset; at < range.end();) {
    const auto known = by_line_.find(line_of(at));
    const unsigned first = piece_of(at);
    const uint8_t pieces = known == by_line_.end() ? 0 : slots_[known->second].pieces;
    unsigned n = 0;
    while (first + n < kPiecesOfALine && at + n * kCachePiece < range.end() &&
           (pieces >> (first + n) & 1) != 0) {
      ++n;
    }
    if (n == 0) {
      if (!found.parts.empty()) return found;
      at += kCachePiece;
      found.missing += kCachePiece;
      continue;
    }
    if (found.missing != 0) return found;
    Slot& slot = slots_[known->second];
    Part part{.slot = known->second, .guest = at, .first = first, .count = n};
    std::copy_n(slot.checksums.begin() + first, n, part.checksums.begin());
    found.parts.push_back(part);
    ++slot.users;
    used_now(known->second);
    at += n * kCachePiece;
  }
  return found;
}

void CacheLines::release(const Parts& parts) {
  const MutexLock lock(mutex_);
  for (const Part& part : parts) let_go(static_cast<uint32_t>(part.slot));
}

// Its bytes may be looked at by others, who find the same.
void CacheLines::forget_damaged(const Part& part, unsigned piece) {
  const MutexLock lock(mutex_);
  const auto slot = static_cast<uint32_t>(part.slot);
  if (slots_[slot].listed) drop_from(slot, static_cast<uint8_t>(1U << (part.first + piece)));
}

CacheLines::Parts CacheLines::begin_fill(const Range& range) {
  const MutexLock lock(mutex_);
  return changing(range) ? Parts() : fill(range);
}

CacheLines::Parts CacheLines::fill(const Range& range) {
  Parts parts;
  for (uint64_t line = line_of(range.offset); line * kCacheLine < range.end(); ++line) {
    const uint32_t number = slot_for(line);
    if (number == kNone) break;
    Slot& slot = slots_[number];
    const auto wanted = static_cast<uint8_t>(bits_of(line, range) & ~slot.pieces & ~slot.filling);
    for (unsigned i = 0; i < kPiecesOfALine; ++i) {
      if ((wanted >> i & 1) == 0) continue;
      if (i != 0 && (wanted >> (i - 1) & 1) != 0) {
        ++parts.back().count;
        continue;
      }
      parts.push_back(
          {.slot = number, .guest = line * kCacheLine + i * kCachePiece, .first = i, .count = 1});
      ++slot.users;
    }
    slot.filling |= wanted;
  }
  return parts;
}

void CacheLines::filled(const Parts& parts, bool good) {
  const MutexLock lock(mutex_);
  for (const Part& part : parts) {
    const auto number = static_cast<uint32_t>(part.slot);
    Slot& slot = slots_[number];
    for (unsigned i = 0; i < part.count; ++i) {
      const auto bit = static_cast<uint8_t>(1U << (part.first + i));
      slot.filling &= static_cast<uint8_t>(~bit);
      if (!good || !slot.listed) continue;
      slot.pieces |= bit;
      slot.checksums[part.first + i] = part.checksums[i];
    }
    if (slot.listed) unlist_if_empty(number);
    let_go(number);
  }
}

CacheLines::Change::Change(CacheLines& lines, const Range& range) : lines_(lines) {
  const MutexLock lock(lines_.mutex_);
  State state{.range = range};
  for (State& other : lines_.changes_) {
    if (intersect(align_out(other.range, kCachePiece), align_out(range, kCachePiece)).empty()) {
      continue;
    }
    other.alone = state.alone = false;
  }
  state.was_there = lines_.drop(range);
  state_ = lines_.changes_.insert(lines_.changes_.end(), state);
}

CacheLines::Change::~Change() {
  const MutexLock lock(lines_.mutex_);
  lines_.changes_.erase(state_);
}

CacheLines::Parts CacheLines::Change::begin_fill(const Range& part) {
  const MutexLock lock(lines_.mutex_);
  return state_->alone && state_->was_there ? lines_.fill(part) : Parts();
}

void CacheLines::forget(const Range& range) {
  const MutexLock lock(mutex_);
  drop(range);
}

CacheLines::Use CacheLines::use() const {
  const MutexLock lock(mutex_);
  return {.lines = by_line_.size(), .evicted = evicted_};
}

std::vector<CachedLine> CacheLines::take() {
  const MutexLock lock(mutex_);
  std::vector<CachedLine> lines;
  for (uint32_t number = oldest_; number != kNone; number = slots_[number].newer) {
    const Slot& slot = slots_[number];
    if (slot.pieces == 0) continue;
    lines.push_back({.guest = slot.line * kCacheLine,
                     .slot = number,
                     .pieces = slot.pieces,
                     .age = static_cast<uint8_t>(lines.size() * 256 / by_line_.size()),
                     .checksums = slot.checksums});
  }
  return lines;
}

bool CacheLines::changing(const Range& range) const {
  return std::ranges::any_of(changes_, [&](const Change::State& change) {
    return !intersect(align_out(change.range, kCachePiece), range).empty();
  });
}

uint32_t CacheLines::slot_for(uint64_t line) {
  const auto known = by_line_.find(line);
  if (known != by_line_.end()) return known->second;
  const uint32_t number = free_slot();
  if (number == kNone) return kNone;
  slots_[number] = {.line = line, .listed = true};
  by_line_.emplace(line, number);
  link_newest(number);
  return number;
}

uint32_t CacheLines::free_slot() {
  if (free_.empty() && slots_.size() < most_) {
    slots_.emplace_back();
    return static_cast<uint32_t>(slots_.size() - 1);
  }
  for (uint32_t number = oldest_; free_.empty() && number != kNone;) {
    const uint32_t candidate = number;
    number = slots_[number].newer;
    if (slots_[candidate].users != 0) continue;
    unlist(candidate);
    ++evicted_;
  }
  if (free_.empty()) return kNone;
  const uint32_t number = free_.back();
  free_.pop_back();
  return number;
}

bool CacheLines::drop(const Range& range) {
  if (range.empty()) return false;
  const uint64_t first = line_of(range.offset), last = line_of(range.end() - 1);
  bool any = false;
  if (last - first >= by_line_.size()) {
    for (uint32_t number = oldest_; number != kNone;) {
      const uint32_t candidate = number;
      number = slots_[number].newer;
      const uint64_t line = slots_[candidate].line;
      if (line < first || line > last) continue;
      any |= drop_from(candidate, bits_of(line, range));
    }
    return any;
  }
  for (uint64_t line = first; line <= last; ++line) {
    const auto known = by_line_.find(line);
    if (known != by_line_.end()) any |= drop_from(known->second, bits_of(line, range));
  }
  return any;
}

// What others are at stays in the file until they are done; it is another line's slot only then.
bool CacheLines::drop_from(uint32_t number, uint8_t pieces) {
  Slot& slot = slots_[number];
  const bool any = (slot.pieces & pieces) != 0;
  if (!any && (slot.filling & pieces) == 0) return false;
  if (slot.users != 0) {
    unlist(number);
    return any;
  }
  slot.pieces &= static_cast<uint8_t>(~pieces);
  unlist_if_empty(number);
  return any;
}

void CacheLines::unlist_if_empty(uint32_t number) {
  if (slots_[number].pieces == 0 && slots_[number].filling == 0) unlist(number);
}

void CacheLines::unlist(uint32_t number) {
  Slot& slot = slots_[number];
  by_line_.erase(slot.line);
  unlink(number);
  slot.listed = false;
  if (slot.users == 0) free_.push_back(number);
}

void CacheLines::let_go(uint32_t number) {
  Slot& slot = slots_[number];
  if (--slot.users == 0 && !slot.listed) free_.push_back(number);
}

void CacheLines::used_now(uint32_t number) {
  if (newest_ == number) return;
  unlink(number);
  link_newest(number);
}

void CacheLines::unlink(uint32_t number) {
  Slot& slot = slots_[number];
  (slot.older == kNone ? oldest_ : slots_[slot.older].newer) = slot.newer;
  (slot.newer == kNone ? newest_ : slots_[slot.newer].older) = slot.older;
  slot.older = slot.newer = kNone;
}

void CacheLines::link_newest(uint32_t number) {
  Slot& slot = slots_[number];
  slot.older = newest_;
  slot.newer = kNone;
  (newest_ == kNone ? oldest_ : slots_[newest_].newer) = number;
  newest_ = number;
}

}  // namespace platter
