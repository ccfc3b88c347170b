// An image moved to another name, with all files it is made of.
#pragma once

#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/io/resolver.h"

namespace platter {

struct MoveArgs {
  std::string path;
  std::string format;  // empty: probe
  std::string to;      // must not exist
  // Images whose parent it is, and which name it anew.
  std::vector<std::string> children;
  References references = References::beside;  // which files the images may name
};
struct MoveReport {
  std::vector<std::string> files;  // where they are now, the image itself first
  bool copied = false;             // to another filesystem
};

// The files keep their bytes, but for the name of a parent, which is the same parent's as seen from
// the new directory. Other files the image is made of keep their names, and go along into the new
// directory. On the same filesystem they get their new names before they lose the old ones; else
// they are copied first, durably. So the image is whole under one name or the other whatever
// happens; after an error it is where it was. All images are locked. Durable when it returns.
// Errors name the file. Progress is in bytes of the files.
// Errc::invalid: there is something of that name, or a file of the image is named with a directory,
// or a child is none; busy: somebody else stands on it; denied or not_found: whoever opens it there
// under the same policy would not find its parent.
Result<MoveReport> move_image(const MoveArgs& args, Progress& progress);

}  // namespace platter
