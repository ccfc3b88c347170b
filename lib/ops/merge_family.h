// MergeFamily: who is who in a merge: the chain, the children that are taken along, and those that
// must not be there.
#pragma once

#include <functional>

#include "lib/ops/dependents.h"
#include "lib/ops/image_files.h"
#include "lib/ops/merge.h"

namespace platter {

// Images of the chain go by their depth: 0 is IMAGE. Thread safety: one thread.
class MergeFamily {
 public:
  // What MergeArgs::ancestor is when it is not said.
  enum class Unsaid : unsigned char { the_parent, nothing };

  // Locks the children. Errc::unsupported: IMAGE has no parent; invalid: the ancestor is not below
  // it, or a child not directly above it; busy: somebody is at IMAGE. args: outlives this.
  static Result<MergeFamily> gather(const MergeArgs& args, Unsaid unsaid);

  // As it was opened, to be read.
  const Container& chain() const { return *chain_; }
  // Of the ancestor; the number of images when there is none.
  size_t ancestor() const { return ancestor_; }
  const ImageFiles& layer(size_t depth) const { return layers_[depth]; }
  const std::vector<ImageFiles>& children() const { return children_; }
  // How to open an image of the chain by itself.
  ContainerOptions options(size_t depth) const;

  // Layers first to end, for writing.
  Result<void> lock(size_t first, size_t end);
  // Opens the chain again, as it now is. Errc::busy: it is not the same any more.
  Result<void> open_again();
  Result<void> expect_same(const Container& chain) const;

  // Errc::busy when somebody who is not of the family stands on one of the layers first to end.
  // matters: whether one that names its parent so is to be known.
  using Matters = std::function<bool(const ParentLink& link)>;
  Result<void> expect_no_others_on(size_t first, size_t end, const Matters& matters) const;
  // Errc::invalid: one of the layers first to end is encrypted, and the taker is not.
  Result<void> expect_no_secrets(size_t first, size_t end, size_t taker) const;
  // Errc::unsupported: the image has internal snapshots. why: what they would come to.
  Result<void> expect_no_snapshots(size_t depth, std::string_view why) const;
  // Errc::corrupt: a file of one of the layers first to end is one of others, too.
  Result<void> expect_own_files(size_t first, size_t end) const;
  // Errc::invalid or unsupported: an image of that kind cannot name that parent.
  Result<void> expect_can_stand_on(const ImageFiles& child, size_t parent) const;

  // How an image names one of the chain as its parent, as that now is.
  Result<ParentLink> link_of(const ImageFiles& child, size_t parent) const;
  Result<void> put_on(const ImageFiles& child, size_t parent) const;
  // The image stays on its parent, whatever that holds. False: it does so anyway.
  Result<bool> loosen(const ImageFiles& child, size_t parent) const;

 private:
  explicit MergeFamily(const MergeArgs& args) : args_(args) {}
  Result<void> open_chain();
  Result<void> find_ancestor(Unsaid unsaid);
  Result<void> take_child(const std::string& path);
  bool knows(const FileStat& file) const;

  const MergeArgs& args_;
  std::unique_ptr<Container> chain_;
  std::vector<ImageFiles> layers_;
  std::vector<std::string> formats_;  // empty: probe
  std::vector<Base> bases_;
  size_t ancestor_ = 0;
  std::vector<ImageFiles> children_;
};

}  // namespace platter
