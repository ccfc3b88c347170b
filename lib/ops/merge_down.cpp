// While the data goes down the layers above hide what it does to the ancestor. Once all of it is
// there, durably, they are not needed any more, and go from the top on: so IMAGE opens and shows
// its disk until its own file is gone, and from then on the ancestor does. Some formats refuse a
// parent that was written since the child was made. The lowest layer is told not to look before the
// first write, and to look again if nothing comes of the merge.
#include "lib/ops/layer_copy.h"
#include "lib/ops/merge_family.h"

namespace platter {
namespace {

class Down {
 public:
  Down(const MergeArgs& args, MergeFamily& family, Progress& progress)
      : args_(args), family_(family), target_(family.ancestor()), progress_(progress) {}

  Result<MergeReport> run() {
    TRY(family_.lock(0, target_));
    TRY(family_.open_again());
    TRY(expect_nothing_lost());
    ContainerOptions options = family_.options(target_);
    options.access = Access::write;
    options.lock = true;
    options.writer.flush_every_ms = 0;
    into_ = TRY(Container::open(path(), options));
    const ImageFiles& lowest = family_.layer(target_ - 1);
    const bool loosened = TRY(family_.loosen(lowest, target_));
    Result<void> done = move_data();
    // What is there of it stays, in any case.
    Result<void> flushed = into_->writer()->close();
    if (done && !flushed) done = std::move(flushed.error()).within(path());
    if (!done) {
      // One that does not look is no harm.
      if (loosened) (void)family_.put_on(lowest, target_);
      return std::move(done.error());
    }
    for (const ImageFiles& child : family_.children()) {
      TRY(family_.put_on(child, target_));
      step();
    }
    return remove_layers();
  }

 private:
  const std::string& path() const { return family_.layer(target_).path(); }
  void step() { progress_.advance(report_.size, report_.size); }

  Result<void> expect_nothing_lost() const {
    for (size_t depth = 0; depth < target_; ++depth) {
      TRY(family_.expect_no_snapshots(depth, "would be lost with it"));
    }
    TRY(family_.expect_no_secrets(0, target_, target_));
    TRY(family_.expect_own_files(0, target_));
    TRY(family_.expect_no_others_on(0, target_ + 1, [](const ParentLink&) { return true; }));
    for (const ImageFiles& child : family_.children()) {
      TRY(family_.expect_can_stand_on(child, target_));
    }
    return {};
  }

  Result<void> move_data() {
    // What they are by now: one of them may just have got another link.
    TRY(family_.open_again());
    const View& live = *family_.chain().live();
    const auto first = live.layers().begin();
    const View upper({first, first + static_cast<ptrdiff_t>(target_)}, live.blocks());
    Writer& writer = *into_->writer();
    TRY_IN(path(), writer.grow(upper.size()));
    const LayerCopy copy{.from = upper, .to = writer, .layout = into_->layout()};
    const CopiedLayers copied = TRY(copy_layers(copy, args_.threads, progress_));
    TRY_IN(path(), cut(writer, upper.size()));
    if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
    report_ = {.target = path(),
               .size = into_->layout().size(),
               .copied = copied.copied,
               .zeroed = copied.zeroed};
    return {};
  }

  // What is behind IMAGE's end was hidden by it, and must not appear.
  Result<void> cut(Writer& writer, uint64_t size) {
    const uint64_t end = into_->layout().size();
    if (end <= size) return {};
    TRY(writer.zero({size, end - size}, File::Zero::free_space));
    Result<void> done = writer.shrink(size);
    if (!done && done.error().code() != Errc::unsupported && done.error().code() != Errc::invalid) {
      return done;
    }
    return {};
  }

  Result<MergeReport> remove_layers() {
    for (size_t depth = 0; depth < target_; ++depth) {
      const ImageFiles& layer = family_.layer(depth);
      TRY(layer.remove());
      report_.deleted.push_back(layer.path());
      step();
    }
    return report_;
  }

  const MergeArgs& args_;
  MergeFamily& family_;
  const size_t target_;
  Progress& progress_;
  std::unique_ptr<Container> into_;
  MergeReport report_;
};

}  // namespace

Result<MergeReport> merge_down(const MergeArgs& args, Progress& progress) {
  MergeFamily family = TRY(MergeFamily::gather(args, MergeFamily::Unsaid::the_parent));
  return Down(args, family, progress).run();
}

}  // namespace platter
