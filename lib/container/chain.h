// Chain: an image and its parents, opened through the Resolver and checked against one another.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/format.h"
#include "lib/io/posix_file.h"

namespace platter {

// One opened image of a chain.
struct ChainLayer {
  ImagePtr image;
  const Format* format = nullptr;
  bool guessed = false;                    // no format claimed the file: taken for raw
  std::string path;                        // as it was opened
  std::vector<std::string> warnings = {};  // of the chain, beside the image's own
  std::string file_name() const { return path.substr(path.rfind('/') + 1); }
};

// An image laid over the one that is named, to take what is written.
struct Overlay {
  FilePtr file;  // null: none. References in it are seen from the directory its name() has
  const Format* format = nullptr;
};

// An image that its caller takes for another one's parent.
struct GivenImage {
  std::string path;
  const Format* format = nullptr;  // null: probe
};

struct ChainRequest {
  std::string path;
  // The top of the chain, when there is one: what access says holds for it, and the image at path
  // is only read. It has to name that one as its parent, which no policy forbids.
  Overlay overlay = {};
  const Format* format = nullptr;  // of the image at path; null: probe
  References references = References::beside;
  Links links = Links::follow;  // of path itself
  // The parents, the nearest first and all of them, instead of those that the images name: which
  // have to be these, as far as what they say of themselves tells.
  std::optional<std::vector<GivenImage>> given = {};
  bool cross_mounts = true;        // see directory_resolver()
  std::vector<std::string> named;  // likewise
  bool parents = true;             // false: the top image alone, for its info() only
  Access access = Access::read;    // to the top image; parents are only read, always
  bool lock = false;               // keep other programs away from every file of the chain
  Epochs* epochs = nullptr;        // set when the top image is opened for writing
  std::shared_ptr<PageCache> tables;
  KeySource* keys = nullptr;  // of encrypted images, whichever of the chain they are; null: none
};

inline constexpr size_t kMaxChainDepth = 512;  // images

// The top first. Errors name the file they are about: a parent that is missing, forbidden, changed
// since the child was made, not the one an overlay was made for, deeper than kMaxChainDepth, or in
// the chain already.
Result<std::vector<ChainLayer>> open_chain(const ChainRequest& request);

}  // namespace platter
