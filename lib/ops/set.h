// What an image says of itself, changed.
#pragma once

#include <string>
#include <vector>

#include "lib/image/image.h"

namespace platter {

// "key=value" each; Errc::invalid for one that is not, and for a key given twice.
Result<Metadata> parse_metadata(const std::vector<std::string>& words);

struct SetArgs {
  std::string path;
  std::string format;  // empty: probe
  Metadata values;
};

// All of the values or, with an error, none. Opens no parent, and locks the image. Errors name the
// file.
Result<void> set_metadata(const SetArgs& args);

}  // namespace platter
