#include "lib/ops/merge_family.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/ops/child.h"
#include "lib/ops/parent_link.h"

namespace platter {

Result<MergeFamily> MergeFamily::gather(const MergeArgs& args, Unsaid unsaid) {
  // Tables that another program is at would be read as they are half changed.
  {
    const FilePtr file = TRY(PosixFile::open(args.path));
    TRY(file->lock(LockMode::read));
  }
  MergeFamily family(args);
  TRY(family.open_chain());
  for (const ChainLayer& layer : family.chain_->chain()) {
    family.layers_.push_back(TRY(ImageFiles::of(layer)));
    family.formats_.emplace_back(layer.guessed ? "" : layer.format->name());
    family.bases_.push_back(TRY(base_of(layer)));
  }
  if (family.layers_.size() == 1) {
    return Error(Errc::unsupported, fmt::format("{}: has no parent", args.path));
  }
  TRY(family.find_ancestor(unsaid));
  for (const std::string& child : args.children) TRY(family.take_child(child));
  return family;
}

Result<void> MergeFamily::open_chain() {
  chain_ = TRY(Container::open(
      args_.path, {.format = args_.format, .references = args_.references, .keys = args_.keys}));
  return {};
}

Result<void> MergeFamily::find_ancestor(Unsaid unsaid) {
  ancestor_ = unsaid == Unsaid::the_parent ? 1 : layers_.size();
  if (!args_.ancestor.empty()) {
    const FilePtr file = TRY(PosixFile::open(args_.ancestor));
    const FileStat wanted = TRY(file->stat());
    const auto found = std::find_if(layers_.begin() + 1, layers_.end(), [&](const ImageFiles& l) {
      return l.image().same_file(wanted);
    });
    if (found == layers_.end()) {
      return Error(Errc::invalid,
                   fmt::format("{}: does not stand on {}", args_.path, printable(args_.ancestor)));
    }
    ancestor_ = static_cast<size_t>(found - layers_.begin());
  }
  if (ancestor_ < layers_.size() && !args_.ancestor_format.empty()) {
    formats_[ancestor_] = args_.ancestor_format;
  }
  return {};
}

Result<void> MergeFamily::take_child(const std::string& path) {
  const auto child = TRY(
      Container::open(path, {.references = args_.references, .parents = true, .keys = args_.keys}));
  const auto& chain = child->chain();
  if (chain.size() < 2 ||
      !layers_[0].image().same_file(TRY(chain[1].image->files().front()->stat()))) {
    return Error(Errc::invalid,
                 fmt::format("{}: {} is not its parent", path, printable(args_.path)));
  }
  ImageFiles files = TRY(ImageFiles::of(chain[0]));
  TRY(files.lock());
  children_.push_back(std::move(files));
  return {};
}

ContainerOptions MergeFamily::options(size_t depth) const {
  return {.format = depth == 0 && !args_.format.empty() ? args_.format : formats_[depth],
          .references = args_.references,
          .keys = args_.keys};
}

Result<void> MergeFamily::lock(size_t first, size_t end) {
  for (size_t depth = first; depth < end; ++depth) TRY(layers_[depth].lock());
  return {};
}

Result<void> MergeFamily::open_again() {
  chain_.reset();
  TRY(open_chain());
  return expect_same(*chain_);
}

Result<void> MergeFamily::expect_same(const Container& chain) const {
  bool same = chain.chain().size() == layers_.size();
  for (size_t depth = 0; same && depth < layers_.size(); ++depth) {
    same =
        layers_[depth].image().same_file(TRY(chain.chain()[depth].image->files().front()->stat()));
  }
  if (same) return {};
  return Error(Errc::busy, fmt::format("{}: stands on other images than a moment ago", args_.path));
}

bool MergeFamily::knows(const FileStat& file) const {
  const auto has = [&](const ImageFiles& image) { return image.has(file); };
  return std::ranges::any_of(layers_, has) || std::ranges::any_of(children_, has);
}

Result<void> MergeFamily::expect_no_others_on(size_t first, size_t end,
                                              const Matters& matters) const {
  const std::vector<Base> bases(bases_.begin() + static_cast<ptrdiff_t>(first),
                                bases_.begin() + static_cast<ptrdiff_t>(end));
  const auto known = [this](const FileStat& file) { return knows(file); };
  for (const Dependent& other : TRY(find_dependents(bases, known))) {
    if (!matters(other.link)) continue;
    return Error(Errc::busy, fmt::format("{}: {} stands on it, too, and would be broken",
                                         bases[other.base].path, printable(other.path)));
  }
  return {};
}

Result<void> MergeFamily::expect_no_secrets(size_t first, size_t end, size_t taker) const {
  const auto encrypted = [this](size_t depth) {
    return chain_->chain()[depth].image->info().encrypted;
  };
  for (size_t depth = first; depth < end; ++depth) {
    if (!encrypted(depth) || encrypted(taker)) continue;
    return Error(Errc::invalid,
                 fmt::format("{}: is encrypted, and its data would be no more in {}",
                             layers_[depth].path(), printable(layers_[taker].path())));
  }
  return {};
}

Result<void> MergeFamily::expect_no_snapshots(size_t depth, std::string_view why) const {
  const size_t count = chain_->chain()[depth].image->snapshots().size();
  if (count == 0) return {};
  return Error(Errc::unsupported,
               fmt::format("{}: has {} internal snapshot{}, which {}", layers_[depth].path(), count,
                           count == 1 ? "" : "s", why));
}

Result<void> MergeFamily::expect_own_files(size_t first, size_t end) const {
  const auto check = [&](const ImageFiles& own, const ImageFiles& other) -> Result<void> {
    if (!own.shares_a_file_with(other)) return {};
    return Error(Errc::corrupt, fmt::format("{}: a file of it is one of {}, too", own.path(),
                                            printable(other.path())));
  };
  for (size_t depth = first; depth < end; ++depth) {
    for (size_t other = 0; other < layers_.size(); ++other) {
      if (other != depth) TRY(check(layers_[depth], layers_[other]));
    }
    for (const ImageFiles& child : children_) TRY(check(layers_[depth], child));
  }
  return {};
}

Result<void> MergeFamily::expect_can_stand_on(const ImageFiles& child, size_t parent) const {
  const ParentLink link = TRY(link_of(child, parent));
  TRY_IN(child.path(), expect_can_name(child.format(), link));
  return {};
}

Result<ParentLink> MergeFamily::link_of(const ImageFiles& child, size_t parent) const {
  const std::string& path = layers_[parent].path();
  const auto container = TRY(Container::open(path, options(parent)));
  return link_to({.path = path,
                  .references = args_.references,
                  .child = child.path(),
                  .child_format = &child.format()},
                 *container);
}

Result<void> MergeFamily::put_on(const ImageFiles& child, size_t parent) const {
  const ParentLink link = TRY(link_of(child, parent));
  return name_parent(child.path(), child.format(), link);
}

Result<bool> MergeFamily::loosen(const ImageFiles& child, size_t parent) const {
  const auto image = TRY(Container::open(
      child.path(), {.format = std::string(child.format().name()), .parents = false}));
  if (!tells_contents(*image->info().parent)) return false;
  const ParentLink link = TRY(link_of(child, parent));
  TRY(name_parent(child.path(), child.format(), whatever_it_holds(link)));
  return true;
}

}  // namespace platter
