#include "formats/vhd/block_space.h"

#include <algorithm>

#include "formats/vhd/mend.h"

namespace platter::vhd {
namespace {

// What a file may be longer than it has to be, until the next flush.
constexpr uint64_t kMaxRoom = 256 * MiB;

}  // namespace

void BlockSpace::start(std::vector<Range> gaps, uint64_t tail) {
  const MutexLock lock(mutex_);
  gaps_ = std::move(gaps);
  std::ranges::reverse(gaps_);
  tail_ = tail;
  end_ = tail;
}

Result<BlockSpace::Place> BlockSpace::take() {
  const MutexLock lock(mutex_);
  if (!gaps_.empty()) {
    Range& gap = gaps_.back();
    const uint64_t offset = gap.offset;
    gap = {offset + stride_, gap.length - stride_};
    if (gap.length < stride_) gaps_.pop_back();
    return Place{offset};
  }
  if (end_ + stride_ > tail_) TRY(make_room());
  end_ += stride_;
  return Place{end_ - stride_, true};
}

void BlockSpace::give_back(uint64_t offset) {
  const MutexLock lock(mutex_);
  gaps_.push_back({offset, stride_});
}

Result<void> BlockSpace::put_footer(uint64_t blocks) {
  const uint64_t place = end_ + blocks * stride_;
  TRY(move_footer_back(*file_, footer_, place));
  tail_ = place;
  return {};
}

Result<void> BlockSpace::make_room() {
  if (kMaxFileSize - end_ < stride_) {
    return Error(Errc::no_space, "the image cannot hold more blocks");
  }
  const uint64_t most = std::min((kMaxFileSize - end_) / stride_, kMaxRoom / stride_);
  const uint64_t blocks = std::clamp<uint64_t>(ahead_, 1, std::max<uint64_t>(most, 1));
  ahead_ = 2 * blocks;
  Result<void> done = put_footer(blocks);
  // Where files have a limit, and this one is near it.
  return done || blocks == 1 ? std::move(done) : put_footer(1);
}

Table::Pages BlockSpace::take_dirty() {
  const MutexLock lock(mutex_);
  ahead_ = 1;
  if (end_ >= tail_) return {};
  const Bytes footer = as_bytes_of(footer_);
  return {{end_, {footer.begin(), footer.end()}}};
}

// Where a block begins by now, its bitmap stands.
Result<void> BlockSpace::write(const Pages& pages) {
  const MutexLock lock(mutex_);
  for (const Page& page : pages) {
    if (page.offset != end_) continue;
    TRY(file_->write(page.offset, page.bytes));
    next_tail_ = page.offset;
  }
  return {};
}

// A file that cannot be cut is a little too long.
void BlockSpace::cut() {
  const MutexLock lock(mutex_);
  const uint64_t tail = std::exchange(next_tail_, 0);
  if (tail == 0 || tail != end_ || tail >= tail_) return;
  if (file_->resize(tail + sizeof(Footer))) tail_ = tail;
}

}  // namespace platter::vhd
