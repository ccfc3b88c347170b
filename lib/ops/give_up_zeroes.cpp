#include "lib/ops/give_up_zeroes.h"

#include <algorithm>

#include "lib/base/checked.h"
#include "lib/base/zeroes.h"
#include "lib/io/zero_runs.h"
#include "lib/ops/in_order.h"

namespace platter {
namespace {

constexpr uint64_t kLookedAtOnce = 2 * MiB;
constexpr uint64_t kDecrypted = MiB;         // read at once
constexpr uint64_t kUnitOfHoles = 64 * KiB;  // where a format has no blocks

struct StoredPart {
  Range range;                // whole blocks, but for the disk's end
  std::vector<Range> zeroes;  // of range: stored, and nothing but zeroes
  std::vector<std::byte> piece;
};

class Zeroing {
 public:
  Zeroing(const Layout& layout, Image& top, Progress& progress)
      : layout_(layout),
        top_(top),
        size_(layout.size()),
        unit_(top.info().block_size == 0 ? kUnitOfHoles : top.info().block_size),
        progress_(progress) {}

  Result<void> run(unsigned threads) {
    while (!all_used_) {
      planned_ = done_;
      all_used_ = true;  // unless a flush has to come first
      InOrder<StoredPart> pass({.next = [this](StoredPart& s) { return plan(s); },
                                .work = [this](StoredPart& s) { return look(s); },
                                .use = [this](StoredPart& s) { return use(s); }},
                               threads, 2 * size_t{threads} + 2);
      Result<void> passed = pass.run();
      if (begun_) TRY(top_.flush(true));
      TRY(std::move(passed));
    }
    return {};
  }

 private:
  Result<void> expect_wanted() const {
    if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
    return {};
  }

  Result<Extent> map_top(const Range& want) const { return TRY(top_.map(want)).clipped(want); }

  // The blocks from the next one on of which something is stored.
  Result<bool> plan(StoredPart& part) {
    const Layout::Request reading(layout_);
    while (planned_ < size_) {
      TRY(expect_wanted());
      const Extent e = TRY(map_top({planned_, size_ - planned_}));
      if (e.kind != Extent::Kind::data) {
        planned_ = e.guest.end();
        continue;
      }
      const uint64_t start = planned_ - planned_ % unit_;
      part.range = {start, std::min(div_up(kLookedAtOnce, unit_) * unit_, size_ - start)};
      planned_ = part.range.end();
      return true;
    }
    return false;
  }

  Result<void> look(StoredPart& part) const {
    part.zeroes.clear();
    const Layout::Request reading(layout_);
    for (uint64_t at = part.range.offset; at < part.range.end(); at += unit_) {
      TRY(expect_wanted());
      TRY(look_at({at, std::min(unit_, part.range.end() - at)}, reading.view(), part));
    }
    return {};
  }

  // A block of which the image has nothing in places shows its parent there, and has to go on.
  Result<void> look_at(const Range& block, const View& view, StoredPart& part) const {
    std::vector<Range> stored;
    bool whole = true;
    for (uint64_t at = block.offset; at < block.end();) {
      const Extent e = TRY(map_top({at, block.end() - at}));
      at = e.guest.end();
      if (e.kind == Extent::Kind::encoded) return {};
      if (e.kind == Extent::Kind::absent) whole = false;
      if (e.kind != Extent::Kind::data) continue;
      if (!TRY(is_zero(e, view, part.piece))) return {};
      stored.push_back(e.guest);
    }
    if (whole && !stored.empty()) stored = {block};
    for (const Range& range : stored) add(range, part.zeroes);
    return {};
  }

  static void add(const Range& range, std::vector<Range>& runs) {
    if (runs.empty() || runs.back().end() != range.offset) return runs.push_back(range);
    runs.back().length += range.length;
  }

  static Result<bool> is_zero(const Extent& e, const View& view, std::vector<std::byte>& piece) {
    if (e.cipher == nullptr) return reads_as_zeroes(*e.file, {e.host, e.guest.length});
    for (uint64_t at = e.guest.offset; at < e.guest.end(); at += piece.size()) {
      piece.resize(std::min(kDecrypted, e.guest.end() - at));
      TRY(view.read(at, piece));
      if (!all_zero(piece)) return false;
    }
    return true;
  }

  // False: what waits in memory is to be flushed first.
  Result<bool> use(StoredPart& part) {
    for (const Range& range : part.zeroes) TRY(make_zero(range));
    done_ = part.range.end();
    progress_.advance(done_, size_);
    all_used_ = !top_.wants_flush();
    return all_used_;
  }

  Result<void> make_zero(Range rest) {
    while (!rest.empty()) {
      TRY(expect_wanted());
      TRY(begin());
      const Range made = TRY(top_.make_zero(rest, File::Zero::free_space));
      // What the format cannot say without data stays as it is.
      const uint64_t to_next = std::min(unit_ - rest.offset % unit_, rest.length);
      const uint64_t n = made.empty() ? to_next : std::min(made.length, rest.length);
      rest = {rest.offset + n, rest.length - n};
    }
    return {};
  }

  Result<void> begin() {
    if (begun_) return {};
    TRY(top_.begin_writing());
    begun_ = true;
    return {};
  }

  const Layout& layout_;
  Image& top_;
  const uint64_t size_;  // bytes of the disk
  const uint64_t unit_;
  Progress& progress_;
  uint64_t planned_ = 0;   // only plan(), one thread at a time
  uint64_t done_ = 0;      // only use()
  bool all_used_ = false;  // likewise
  bool begun_ = false;
};

}  // namespace

Result<void> give_up_zeroes(const Layout& layout, Image& top, unsigned threads,
                            Progress& progress) {
  return Zeroing(layout, top, progress).run(std::max(threads, 1U));
}

}  // namespace platter
