// What a new image has to know of its parent.
#pragma once

#include <string>

#include "lib/container/container.h"

namespace platter {

struct ParentArgs {
  std::string path;
  std::string format;  // empty: probe
  // Which files the parent may name, and then the child.
  References references = References::beside;
  std::string child;                     // the new image's path
  const Format* child_format = nullptr;  // what it shall be
  bool found_anyway = false;             // the child is opened together with its parent
};
struct NewParent {
  ParentLink link;         // the reference is seen from the child's directory
  uint64_t size = 0;       // of its disk, bytes
  bool encrypted = false;  // it, or an image it stands on
};

// Opens the parent with its own parents, for reading, while nobody writes it: Errc::busy else.
// Errc::denied or not_found when whoever opens the child under the same policy would not find it,
// unless found_anyway.
Result<NewParent> describe_parent(const ParentArgs& args);

// The same of a parent that is open: how its child names it. parent: the container of the image at
// args.path.
Result<ParentLink> link_to(const ParentArgs& args, const Container& parent);

}  // namespace platter
