// IMAGE gets what it has nothing of, which it shows already, from the layers between; then one
// durable change gives it the ancestor for a parent, or none, and the layers are not needed any
// more. Children that look whether it was written are told not to, before, and to look again,
// after.
#include <fmt/format.h>

#include "lib/ops/layer_copy.h"
#include "lib/ops/merge_family.h"
#include "lib/ops/parent_link.h"

namespace platter {
namespace {

class Up {
 public:
  Up(const MergeArgs& args, MergeFamily& family, Progress& progress)
      : args_(args), family_(family), ancestor_(family.ancestor()), progress_(progress) {}

  Result<MergeReport> run() {
    TRY(open_image());
    TRY(expect_nothing_lost());
    Result<void> done = loosen_children();
    if (done) done = move_data();
    if (done) done = change_parent();
    // Also after an error, as far as that goes: one that does not look is no harm.
    for (const ImageFiles* child : loosened_) {
      Result<void> put = family_.put_on(*child, 0);
      if (done) done = std::move(put);
    }
    if (!done) return std::move(done.error());
    step();
    if (args_.remove) TRY(remove_layers());
    return report_;
  }

 private:
  const ImageFiles& own() const { return family_.layer(0); }
  Image& image() const { return *image_->chain().front().image; }
  bool stands_alone() const { return ancestor_ == family_.chain().chain().size(); }
  void step() { progress_.advance(report_.size, report_.size); }

  Result<void> open_image() {
    if (ancestor_ == 1) {
      return Error(Errc::invalid, fmt::format("{}: stands on that image already", args_.path));
    }
    ContainerOptions options = family_.options(0);
    options.access = Access::write;
    options.lock = true;
    options.writer = {.zeroes = Zeroes::own, .flush_every_ms = 0};
    image_ = TRY(Container::open(args_.path, options));
    return family_.expect_same(*image_);
  }

  Result<void> expect_nothing_lost() const {
    TRY(family_.expect_no_snapshots(0, "need its parents"));
    TRY(family_.expect_no_secrets(1, ancestor_, 0));
    if (!stands_alone()) TRY(family_.expect_can_stand_on(own(), ancestor_));
    // Those that do not look see the same disk.
    TRY(family_.expect_no_others_on(0, 1, tells_contents));
    if (!args_.remove) return {};
    TRY(family_.expect_own_files(1, ancestor_));
    return family_.expect_no_others_on(1, ancestor_, [](const ParentLink&) { return true; });
  }

  Result<void> loosen_children() {
    for (const ImageFiles& child : family_.children()) {
      if (TRY(family_.loosen(child, 0))) loosened_.push_back(&child);
    }
    return {};
  }

  Result<void> move_data() {
    const View& live = *image_->live();
    const auto first = live.layers().begin();
    const View between({first + 1, first + static_cast<ptrdiff_t>(ancestor_)}, live.blocks());
    const LayerCopy copy{.from = between,
                         .to = *image_->writer(),
                         .layout = image_->layout(),
                         .below = true,
                         .zeroes_show = stands_alone()};
    const Result<CopiedLayers> copied = copy_layers(copy, args_.threads, progress_);
    // What is there of it stays, in any case.
    Result<void> flushed = image_->writer()->close();
    if (!copied) return Error(copied.error()).within(args_.path);
    TRY_IN(args_.path, std::move(flushed));
    report_ = {.target = args_.path,
               .size = image_->layout().size(),
               .copied = copied->copied,
               .zeroed = copied->zeroed};
    return {};
  }

  Result<void> change_parent() {
    if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
    if (stands_alone()) {
      TRY_IN(args_.path, image().drop_parent());
    } else {
      const ParentLink link = TRY(family_.link_of(own(), ancestor_));
      TRY_IN(args_.path, image().set_parent(link));
    }
    return {};
  }

  // Locked for reading until now. Who has come meanwhile to stand on one keeps them.
  Result<void> remove_layers() {
    image_.reset();
    TRY(family_.lock(1, ancestor_));
    TRY(family_.expect_no_others_on(1, ancestor_, [](const ParentLink&) { return true; }));
    for (size_t depth = 1; depth < ancestor_; ++depth) {
      TRY(family_.layer(depth).remove());
      report_.deleted.push_back(family_.layer(depth).path());
      step();
    }
    return {};
  }

  const MergeArgs& args_;
  MergeFamily& family_;
  const size_t ancestor_;
  Progress& progress_;
  std::unique_ptr<Container> image_;
  std::vector<const ImageFiles*> loosened_;
  MergeReport report_;
};

}  // namespace

Result<MergeReport> merge_up(const MergeArgs& args, Progress& progress) {
  MergeFamily family = TRY(MergeFamily::gather(args, MergeFamily::Unsaid::nothing));
  return Up(args, family, progress).run();
}

}  // namespace platter
