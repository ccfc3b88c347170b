// Another parent for an image.
#pragma once

#include <string>

#include "lib/io/resolver.h"

namespace platter {

struct RebaseArgs {
  std::string path;
  std::string format;  // empty: probe
  std::string parent;  // the path of the new one
  std::string parent_format;
  References references =
      References::beside;  // which files the parent may name, and then the image
};

// Changes which file the image names as its parent, and nothing else: what the disk shows changes
// where the two parents differ and the image has nothing of its own. Errc::unsupported: the image
// has no parent, or its format cannot name this one; corrupt: it would be its own ancestor; denied
// or not_found: whoever opens the image under the same policy would not find that parent. Durable
// when it returns. Errors name the file.
Result<void> relink(const RebaseArgs& args);

}  // namespace platter
