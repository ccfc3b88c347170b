// Who else stands on an image: children that a change of it, or its end, would break.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/container/container.h"

namespace platter {

// An image that may be a parent.
struct Base {
  std::string path;
  FileStat file;
  std::optional<Uuid> uuid, modification_uuid;
};
Result<Base> base_of(const ChainLayer& layer);

struct Dependent {
  std::string path;
  size_t base = 0;  // which of the bases is its parent
  ParentLink link;  // as it names it
};

// The images that name one of the bases as their parent, as far as they can be seen: regular files
// in the directories of the bases, in a directory Snapshots there, and in the one above such a
// directory; of each at most 4096 in the order of their names. A file that cannot be opened is
// left out, as is one that skip says yes to.
using SkipFile = std::function<bool(const FileStat&)>;
Result<std::vector<Dependent>> find_dependents(const std::vector<Base>& bases,
                                               const SkipFile& skip);

}  // namespace platter
