// Images made smaller, copied as they are, and moved.
#include <platter/images.h>

#include "lib/api/stack.h"
#include "lib/ops/compact.h"
#include "lib/ops/copy.h"
#include "lib/ops/move.h"

namespace platter {
namespace {

CompactArgs compact_args(const OpenImage& image, KeySource* keys) {
  return {.path = image.path,
          .format = image.format,
          .references = api::policy_of(image.references),
          .keys = keys,
          .threads = api::threads_of(0)};
}

}  // namespace

Result<CompactedImage> compact_image(const OpenImage& image, const OnProgress& progress) {
  api::Passphrases keys(image);
  api::Asked asked(progress);
  const CompactReport report = TRY(compact_image(compact_args(image, &keys), asked));
  return CompactedImage{.size_before = report.before.size,
                        .size_after = report.after.size,
                        .allocated_before = report.before.allocated,
                        .allocated_after = report.after.allocated};
}

Result<void> VirtualDisk::compact(size_t image, const OnProgress& progress) {
  TRY(stack_->expect(image));
  return stack_->closed([&](std::vector<OpenImage>& images) -> Result<void> {
    if (images[image].flags.read_only) {
      return Error(Errc::read_only, images[image].path + ": is open for reading only");
    }
    api::Passphrases keys;
    for (const OpenImage& each : images) keys.add(each.path, each.passphrase);
    api::Asked asked(progress);
    TRY(compact_image(compact_args(images[image], &keys), asked));
    return {};
  });
}

Result<std::vector<ClonedImage>> clone_image(const OpenImage& image, const std::string& to,
                                             const CloneOptions& options,
                                             const OnProgress& progress) {
  api::Passphrases keys(image);
  CopyArgs args{.path = image.path,
                .format = image.format,
                .to = to,
                .layers = options.layers,
                .parent = options.parent,
                .values = options.metadata,
                .references = api::policy_of(image.references),
                .keys = &keys,
                .new_keys = &keys,
                .threads = api::threads_of(options.threads)};
  if (!options.format.empty()) args.target = TRY(api::format_of(options.format));
  if (!options.variant.empty()) args.options["subformat"] = options.variant;
  if (options.size != 0) args.size = options.size;
  api::Asked asked(progress);
  CopyReport report = TRY(copy_image(args, asked));
  std::vector<ClonedImage> clones;
  for (CopyReport::Copied& copy : report.images) {
    clones.push_back({.path = std::move(copy.path),
                      .format = std::move(copy.format),
                      .copied = copy.bytes,
                      .left_out = std::move(copy.left_out)});
  }
  return clones;
}

Result<MovedImage> move_image(const OpenImage& image, const std::string& to,
                              const std::vector<std::string>& children,
                              const OnProgress& progress) {
  api::Asked asked(progress);
  MoveReport report = TRY(move_image(MoveArgs{.path = image.path,
                                              .format = image.format,
                                              .to = to,
                                              .children = children,
                                              .references = api::policy_of(image.references)},
                                     asked));
  return MovedImage{.files = std::move(report.files), .copied = report.copied};
}

}  // namespace platter
