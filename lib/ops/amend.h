// How an image says what it says, changed: its version, its features.
#pragma once

#include <string>

#include "lib/image/format.h"

namespace platter {

struct AmendArgs {
  std::string path;
  std::string format;  // empty: probe
  Options options;
  KeySource* keys = nullptr;  // of an encrypted image; where nothing has to be written they are not
                              // needed
};

// Opens no parent, and locks the image. Errc::invalid: an option the format cannot amend; the
// message lists those it can. Other errors as of Image::amend(). Errors name the file.
Result<void> amend_image(const AmendArgs& args);

}  // namespace platter
