// Another parent for an image.
#pragma once

#include <string>

#include "lib/base/progress.h"
#include "lib/crypto/key_source.h"
#include "lib/io/resolver.h"

namespace platter {

struct RebaseArgs {
  std::string path;
  std::string format;  // empty: probe
  std::string parent;  // the path of the new one
  std::string parent_format;
  References references = References::beside;  // which files the images may name
  KeySource* keys = nullptr;                   // of encrypted images; null: none
  unsigned threads = 1;                        // at least 1
};
struct RebaseReport {
  uint64_t copied = 0;  // bytes that the image has of its own now
};

// Gives the image another parent and keeps its disk what it is: what the image has nothing of, and
// the new parent shows otherwise than the old one did, becomes the image's own first. A crash or an
// error leaves the image on its old parent or on the new one, with the same disk.
// Errc::unsupported: the image has no parent, or its format cannot name this one; corrupt: it would
// be its own ancestor; denied or not_found: whoever opens the image under the same policy would not
// find that parent. Durable when it returns. Errors name the file.
Result<RebaseReport> rebase(const RebaseArgs& args, Progress& progress);

// Changes the name of the parent and nothing else, for one that was moved: it need not be there any
// more under its old name. What the disk shows changes where the two parents differ. Otherwise as
// rebase().
Result<void> relink(const RebaseArgs& args);

}  // namespace platter
