#include "lib/ops/rebase.h"

#include <fmt/format.h>

#include "lib/ops/child.h"

namespace platter {
namespace {

Result<void> expect_no_loop(const RebaseArgs& args, const File& image) {
  const auto parent = TRY(
      Container::open(args.parent, {.format = args.parent_format, .references = args.references}));
  const FileStat own = TRY(image.stat());
  for (const ChainLayer& layer : parent->chain()) {
    const FileStat st = TRY(layer.image->files().front()->stat());
    if (st.device != own.device || st.inode != own.inode) continue;
    return Error(Errc::corrupt, fmt::format("{}: would be its own ancestor", args.path));
  }
  return {};
}

}  // namespace

Result<void> relink(const RebaseArgs& args) {
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .parents = false,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0}}));
  const ChainLayer& top = container->chain().front();
  TRY(expect_no_loop(args, *top.image->files().front()));
  const NewParent parent = TRY(describe_parent({.path = args.parent,
                                                .format = args.parent_format,
                                                .references = args.references,
                                                .child = args.path,
                                                .child_format = top.format}));
  TRY_IN(args.path, top.image->set_parent(parent.link));
  return {};
}

}  // namespace platter
