#include "lib/ops/layer_copy.h"

#include <algorithm>

#include "lib/base/zeroes.h"
#include "lib/ops/in_order.h"

namespace platter {
namespace {

using Kind = Extent::Kind;

constexpr uint64_t kStep = 2 * MiB;
constexpr uint64_t kGrain = 64 * KiB;  // what may be left out as zeroes

struct Piece {
  Range range;
  bool zero = false;
  std::vector<std::byte> bytes;  // unless zero
  std::vector<Range> runs;       // of range, what is written
};

class Copier {
 public:
  Copier(const LayerCopy& copy, Progress& progress)
      : copy_(copy), size_(copy.layout.size()), progress_(progress) {}

  Result<CopiedLayers> run(unsigned threads) {
    InOrder<Piece> pieces({.next = [this](Piece& p) { return plan(p); },
                           .work = [this](Piece& p) { return read(p); },
                           .use = [this](Piece& p) { return write(p); }},
                          threads, 2 * size_t{threads} + 2);
    TRY(pieces.run());
    progress_.advance(size_, size_);
    return done_;
  }

 private:
  // As View::map(), but what lies behind the end of a layer is zero, not absent.
  Result<Extent> have(Range want) const {
    for (const auto& [image, snapshot] : copy_.from.layers()) {
      const Range here = intersect(want, {0, image->size(snapshot)});
      if (here.empty()) return Extent{.guest = want, .kind = Kind::zero};
      const Extent e =
          TRY_IN(image->files().front()->name(), image->map(here, snapshot)).clipped(here);
      if (e.kind != Kind::absent) return e;
      want = e.guest;
    }
    return Extent{.guest = want};
  }

  // What of want the layers are asked for; empty: the image has its start, which is so long.
  Result<Extent> missing(const Range& want) const {
    if (!copy_.below) return Extent{.guest = want};
    const Layout::Request reading(copy_.layout);
    const View& view = reading.view();
    return TRY(view.layers().front().image->map(want)).clipped(want);
  }

  Result<bool> plan(Piece& piece) {
    const uint64_t end = copy_.below ? size_ : std::min(size_, copy_.from.size());
    while (planned_ < end) {
      if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
      const Extent own = TRY(missing({planned_, end - planned_}));
      planned_ = own.guest.end();
      if (own.kind != Kind::absent) continue;
      const Extent e = TRY(have(own.guest));
      planned_ = e.guest.end();
      if (e.kind == Kind::absent || (e.kind == Kind::zero && copy_.zeroes_show)) continue;
      piece.range = e.guest;
      piece.zero = e.kind == Kind::zero;
      // Whole blocks of most images.
      if (!piece.zero) {
        const uint64_t limit = align_down(e.guest.offset, kStep) + kStep;
        piece.range.length = std::min(e.guest.end(), limit) - e.guest.offset;
      }
      planned_ = piece.range.end();
      return true;
    }
    return false;
  }

  Result<void> read(Piece& piece) const {
    piece.runs.clear();
    if (piece.zero) return {};
    piece.bytes.resize(piece.range.length);
    TRY(copy_.from.read(piece.range.offset, piece.bytes));
    if (!copy_.zeroes_show) {
      piece.runs = {piece.range};
      return {};
    }
    for (uint64_t at = piece.range.offset; at < piece.range.end();) {
      const uint64_t end = std::min(align_down(at, kGrain) + kGrain, piece.range.end());
      const Range grain{at, end - at};
      at = end;
      if (all_zero(Bytes(piece.bytes).subspan(grain.offset - piece.range.offset, grain.length))) {
        continue;
      }
      if (!piece.runs.empty() && piece.runs.back().end() == grain.offset) {
        piece.runs.back().length += grain.length;
      } else {
        piece.runs.push_back(grain);
      }
    }
    return {};
  }

  Result<bool> write(Piece& piece) {
    if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
    if (piece.zero) {
      TRY(copy_.to.zero(piece.range, File::Zero::free_space));
      done_.zeroed += piece.range.length;
    }
    for (const Range& run : piece.runs) {
      const Bytes bytes = Bytes(piece.bytes).subspan(run.offset - piece.range.offset, run.length);
      TRY(copy_.to.write(run.offset, bytes));
      done_.copied += run.length;
    }
    progress_.advance(piece.range.end(), size_);
    return true;
  }

  const LayerCopy& copy_;
  const uint64_t size_;
  Progress& progress_;
  uint64_t planned_ = 0;  // only plan(), one thread at a time
  CopiedLayers done_;     // only write()
};

}  // namespace

Result<CopiedLayers> copy_layers(const LayerCopy& copy, unsigned threads, Progress& progress) {
  return Copier(copy, progress).run(std::max(threads, 1U));
}

}  // namespace platter
