// Finds the file that an image's parent is in, by the names and the ids the image has for it.
#pragma once

#include <string>
#include <vector>

#include "lib/image/format.h"

namespace platter {

struct FoundParent {
  FilePtr file;
  const Format* format = nullptr;  // null: probe
  // The image named it, by a format or by ids: it may name files itself.
  bool trusted = true;
  // Why it may have changed since the child was made; what could not be read on the way to it.
  std::vector<std::string> warnings = {};
};

// Where no name leads to a file with the ids, those beside the image are looked at, and then what
// the .vbox files there say.
// format: the child's. Errc::not_found: no such file; denied: the policy forbids those that the
// child names; corrupt: the parent that is there is another one, or was changed after the child was
// made.
Result<FoundParent> find_parent(const ParentLink& link, const Format& format,
                                const Resolver& resolver);

// The same of a file that the caller takes for the parent, an image of this format, without a look
// at its name. Errc::corrupt: it is another one, or was changed.
Result<FoundParent> take_parent(const ParentLink& link, const FilePtr& file, const Format& format);

}  // namespace platter
