#include "lib/ops/child.h"

#include <fmt/format.h>

#include "lib/image/registry.h"
#include "lib/ops/reference.h"

namespace platter {
namespace {

Result<bool> same_file(const File& a, const File& b) {
  const FileStat first = TRY(a.stat());
  return first.same_file(TRY(b.stat()));
}

// Looks for the parent as chain.cpp will.
Result<void> find_by_id(const ParentArgs& args, const Resolver& resolver, const File& parent) {
  bool found = false;
  const auto visit = [&](const Candidate& candidate) -> Result<bool> {
    found = TRY(same_file(*candidate.file, parent));
    return !found;
  };
  TRY(resolver.candidates(args.child_format->extensions(), visit));
  if (found) return {};
  return Error(
      Errc::not_found,
      fmt::format("would not find its parent {0}: a {1} looks for it among the .{2} files "
                  "beside it (references=any: and those in the directory above)",
                  args.path, args.child_format->name(), args.child_format->extensions().front()));
}

// A child that does not say what its parent is: whoever opens it has to find out the same.
Result<void> expect_recognized(const ParentArgs& args, const Container& parent, const File& file) {
  const Format* probed = TRY(probe(file)).format;
  const Format* const wanted = parent.chain().front().format;
  if (probed != wanted) {
    return Error(Errc::invalid,
                 fmt::format("cannot say that its parent {} is {}: it would be taken "
                             "for {}",
                             args.path, wanted->name(), probed->name()));
  }
  if (!parent.info().parent && parent.chain().front().image->files().size() == 1) return {};
  return Error(Errc::invalid,
               fmt::format("cannot say that its parent {} is {}, so that other files "
                           "that one names would not be opened",
                           args.path, wanted->name()));
}

Result<void> expect_found(const ParentArgs& args, const ParentLink& link, const File& parent) {
  const auto resolver = directory_resolver(args.child, args.references);
  if (args.child_format->names_parents_by_id()) return find_by_id(args, *resolver, parent);
  const FilePtr found = TRY(resolver->open(link.reference));
  if (TRY(same_file(*found, parent))) return {};
  return Error(Errc::not_found,
               fmt::format("would take another file for its parent: \"{}\"", link.reference));
}

}  // namespace

Result<NewParent> describe_parent(const ParentArgs& args) {
  const auto container = TRY(Container::open(
      args.path, {.format = args.format, .references = args.references, .lock = true}));
  NewParent described{.link = TRY(link_to(args, *container)), .size = container->live()->size()};
  for (const ChainLayer& layer : container->chain()) {
    described.encrypted = described.encrypted || layer.image->info().encrypted;
  }
  return described;
}

Result<ParentLink> link_to(const ParentArgs& args, const Container& parent) {
  const ImageInfo& info = parent.info();
  const File& file = *parent.chain().front().image->files().front();
  ParentLink link{.reference = TRY(reference_from(args.child, args.path)),
                  .format = info.format,
                  .uuid = info.uuid,
                  .modification_uuid = info.modification_uuid,
                  .content_id = info.content_id,
                  .mtime_s = TRY(file.stat()).mtime_ns / 1'000'000'000};
  if (args.child_format->can_create_child() && !args.found_anyway) {
    TRY_IN(args.child, expect_found(args, link, file));
    if (!args.child_format->names_parent_formats()) {
      TRY_IN(args.child, expect_recognized(args, parent, file));
    }
  }
  return link;
}

}  // namespace platter
