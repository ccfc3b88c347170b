#include "lib/container/read_ahead.h"

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "lib/container/extent_walk.h"

namespace platter {
namespace {

// The kernel has several requests under way when it reads ahead itself, and they overtake one
// another by so much.
constexpr uint64_t kJitter = 512 * KiB;
constexpr uint64_t kFirstWindow = 256 * KiB;

}  // namespace

bool ReadAhead::goes_on(const Reader& reader, const Range& range) {
  return range.offset <= reader.next + kJitter && reader.next <= range.end() + kJitter;
}

Range ReadAhead::after(const Range& range) {
  const MutexLock lock(mutex_);
  auto* const known = std::ranges::find_if(
      readers_, [&](const Reader& r) { return r.next != 0 && goes_on(r, range); });
  if (known == readers_.end()) {
    std::rotate(readers_.begin(), readers_.end() - 1, readers_.end());
    readers_.front() = {.next = range.end(), .ready = range.end()};
    return {range.end(), 0};
  }
  std::rotate(readers_.begin(), known, known + 1);
  Reader& reader = readers_.front();
  reader.next = std::max(reader.next, range.end());
  reader.ready = std::max(reader.ready, reader.next);
  reader.window = std::min(most_, std::max(kFirstWindow, 2 * reader.window));
  const uint64_t end = reader.next + reader.window;
  // In pieces that are worth waking the others for.
  if (end - std::min(end, reader.ready) <= reader.window / 2) return {reader.ready, 0};
  const uint64_t from = std::exchange(reader.ready, end);
  return {from, end - from};
}

uint64_t useful_read_ahead(const BlockCache& blocks) {
  const uint64_t cores = std::max(1U, std::thread::hardware_concurrency());
  return std::min(blocks.capacity() / 8, std::clamp(cores * MiB, 2 * MiB, 16 * MiB));
}

void decode_ahead(const View& view, Range range) {
  range = intersect(range, {0, view.size()});
  try {
    std::vector<Extent> units;
    // Where a table is damaged, what lies before is decoded all the same.
    (void)walk(view, range, [&](const View::Mapped& run) -> Result<bool> {
      if (run.extent.kind == Extent::Kind::encoded) units.push_back(run.extent);
      return true;
    });
    if (!units.empty()) view.blocks().prepare(units);
  } catch (const std::bad_alloc&) {
    return;
  }
}

}  // namespace platter
