#include "lib/ops/rebase.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "lib/ops/child.h"
#include "lib/ops/in_order.h"
#include "lib/ops/source_disk.h"

namespace platter {
namespace {

constexpr uint64_t kStretch = 2 * MiB;
constexpr uint64_t kPiece = 4 * KiB;  // what is compared, and copied, as one

struct Stretch {
  Range range;                      // the image has nothing of it
  std::vector<std::byte> old, now;  // what the parents show there
  std::vector<Range> different;     // of range
};

// Copies into an image what its new parent would show otherwise. Layout: nobody else uses the disk.
class Adoption {
 public:
  Adoption(const Container& image, const ViewPtr& parent, Progress& progress)
      : image_(image),
        old_({image.live()}, image.live()->size()),
        now_({parent}, std::max(parent->size(), old_.size())),
        progress_(progress) {}

  Result<RebaseReport> run(unsigned threads) {
    InOrder<Stretch> copy({.next = [this](Stretch& c) { return plan(c); },
                           .work = [this](Stretch& c) { return look(c); },
                           .use = [this](Stretch& c) { return write(c); }},
                          threads, 2 * size_t{threads} + 2);
    TRY(copy.run());
    progress_.advance(old_.size(), old_.size());
    return report_;
  }

 private:
  // The next range the image has nothing of, unless both parents have a hole there.
  Result<bool> plan(Stretch& chunk) {
    const Layout::Request reading(image_.layout());
    const Image& top = *image_.chain().front().image;
    while (planned_ < old_.size()) {
      if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
      const Range rest{planned_, old_.size() - planned_};
      const Extent own = TRY(top.map(rest)).clipped(rest);
      if (own.kind != Extent::Kind::absent) {
        planned_ = own.guest.end();
        continue;
      }
      const auto old = TRY(old_.piece_at(planned_));
      const auto now = TRY(now_.piece_at(planned_));
      const Range both = intersect(intersect(own.guest, old.range), now.range);
      const bool holes = old.hole && now.hole;
      chunk.range = {planned_, holes ? both.length : std::min(own.guest.length, kStretch)};
      planned_ = chunk.range.end();
      if (!holes) return true;
    }
    return false;
  }

  Result<void> look(Stretch& chunk) const {
    const auto [offset, length] = chunk.range;
    chunk.old.resize(length);
    chunk.now.resize(length);
    chunk.different.clear();
    {
      const Layout::Request reading(image_.layout());
      TRY(old_.read(offset, chunk.old));
    }
    TRY(now_.read(offset, chunk.now));
    for (uint64_t at = offset; at < chunk.range.end();) {
      const uint64_t end = std::min(align_up(at + 1, kPiece), chunk.range.end());
      const uint64_t inside = at - offset;
      if (std::memcmp(&chunk.old[inside], &chunk.now[inside], end - at) != 0) {
        add({at, end - at}, chunk.different);
      }
      at = end;
    }
    return {};
  }

  static void add(const Range& piece, std::vector<Range>& runs) {
    if (runs.empty() || runs.back().end() != piece.offset) return runs.push_back(piece);
    runs.back().length += piece.length;
  }

  Result<bool> write(Stretch& chunk) {
    for (const Range& run : chunk.different) {
      if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
      const Bytes bytes = Bytes(chunk.old).subspan(run.offset - chunk.range.offset, run.length);
      TRY(image_.writer()->write(run.offset, bytes));
      report_.copied += run.length;
    }
    progress_.advance(chunk.range.end(), old_.size());
    return true;
  }

  const Container& image_;
  const SourceDisk old_, now_;
  Progress& progress_;
  uint64_t planned_ = 0;  // only plan(), one thread at a time
  RebaseReport report_;   // only write()
};

// parents: false: only what the image says of itself is wanted.
Result<std::unique_ptr<Container>> open_image(const RebaseArgs& args, bool parents) {
  return Container::open(args.path, {.format = args.format,
                                     .references = args.references,
                                     .parents = parents,
                                     .access = Access::write,
                                     .lock = true,
                                     .writer = {.zeroes = Zeroes::own, .flush_every_ms = 0},
                                     .keys = args.keys});
}

Result<std::unique_ptr<Container>> open_parent(const RebaseArgs& args, bool lock) {
  return Container::open(args.parent, {.format = args.parent_format,
                                       .references = args.references,
                                       .lock = lock,
                                       .keys = args.keys});
}

Result<void> check_parent(const RebaseArgs& args, const Container& image) {
  const ChainLayer& top = image.chain().front();
  if (!top.image->info().parent) {
    return Error(Errc::unsupported,
                 fmt::format("{}: it has no parent that another one could replace", args.path));
  }
  // Without a lock, which the image itself would refuse.
  const auto parent = TRY(open_parent(args, false));
  const FileStat own = TRY(top.image->files().front()->stat());
  for (const ChainLayer& layer : parent->chain()) {
    if (!own.same_file(TRY(layer.image->files().front()->stat()))) continue;
    return Error(Errc::corrupt, fmt::format("{}: would be its own ancestor", args.path));
  }
  return {};
}

Result<ParentLink> link_to_parent(const RebaseArgs& args, const Container& image) {
  return TRY(describe_parent({.path = args.parent,
                              .format = args.parent_format,
                              .references = args.references,
                              .child = args.path,
                              .child_format = image.chain().front().format}))
      .link;
}

}  // namespace

Result<RebaseReport> rebase(const RebaseArgs& args, Progress& progress) {
  const auto image = TRY(open_image(args, true));
  TRY(check_parent(args, *image));
  const auto parent = TRY(open_parent(args, true));
  const ParentLink link = TRY(link_to_parent(args, *image));
  const RebaseReport report =
      TRY_IN(args.path, Adoption(*image, parent->live(), progress).run(std::max(args.threads, 1U)));
  TRY_IN(args.path, image->writer()->close());
  TRY_IN(args.path, image->chain().front().image->set_parent(link));
  return report;
}

Result<void> relink(const RebaseArgs& args) {
  const auto image = TRY(open_image(args, false));
  TRY(check_parent(args, *image));
  const ParentLink link = TRY(link_to_parent(args, *image));
  TRY_IN(args.path, image->chain().front().image->set_parent(link));
  return {};
}

}  // namespace platter
