// What a new image has to know of its parent.
#pragma once

#include <string>

#include "lib/container/container.h"

namespace platter {

struct ParentArgs {
  std::string path;
  std::string format;  // empty: probe
  References references = References::beside;
  std::string child;  // the new image's path
};
struct NewParent {
  ParentLink link;    // the reference is seen from the child's directory
  uint64_t size = 0;  // of its disk, bytes
};

// Opens the parent with its own parents, for reading, while nobody writes it: Errc::busy else.
Result<NewParent> describe_parent(const ParentArgs& args);

}  // namespace platter
