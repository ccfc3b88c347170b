#include "lib/ops/merge.h"

#include <platter/images.h>

#include "lib/api/stack.h"

namespace platter {
namespace {

MergeArgs args_of(const OpenImage& image, KeySource* keys, unsigned threads) {
  return {.path = image.path,
          .format = image.format,
          .references = api::policy_of(image.references),
          .keys = keys,
          .threads = api::threads_of(threads)};
}

Result<void> expect_two(size_t from, size_t to) {
  if (from != to) return {};
  return Error(Errc::invalid, "an image is not merged with itself");
}

}  // namespace

Result<MergedImages> merge_image(const OpenImage& image, const MergeOptions& options,
                                 const OnProgress& progress) {
  api::Passphrases keys(image);
  MergeArgs args = args_of(image, &keys, options.threads);
  args.ancestor = options.into;
  args.children = options.children;
  args.remove = options.remove_between;
  api::Asked asked(progress);
  MergeReport report = TRY(options.up ? merge_up(args, asked) : merge_down(args, asked));
  return MergedImages{.target = std::move(report.target),
                      .copied = report.copied,
                      .zeroed = report.zeroed,
                      .removed = std::move(report.deleted)};
}

Result<void> VirtualDisk::merge(size_t from, size_t to, const OnProgress& progress) {
  TRY(stack_->expect(from));
  TRY(stack_->expect(to));
  TRY(expect_two(from, to));
  return stack_->closed([&](std::vector<OpenImage>& images) -> Result<void> {
    api::Passphrases keys;
    for (const OpenImage& image : images) keys.add(image.path, image.passphrase);
    const bool up = from < to;
    // The upper one of the two, which is merged, and stands on what is below the lower one.
    const size_t upper = up ? to : from;
    MergeArgs args = args_of(images[upper], &keys, 0);
    args.remove = true;
    if (!up) {
      args.ancestor = images[to].path;
    } else if (from != 0) {
      args.ancestor = images[from - 1].path;
    }
    if (upper + 1 < images.size()) args.children = {images[upper + 1].path};
    api::Asked asked(progress);
    TRY(up ? merge_up(args, asked) : merge_down(args, asked));
    const auto at = [&](size_t image) { return images.begin() + static_cast<ptrdiff_t>(image); };
    if (up) {
      images.erase(at(from), at(to));
    } else {
      images.erase(at(to + 1), at(from + 1));
    }
    return {};
  });
}

}  // namespace platter
