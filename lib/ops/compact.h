// An image made as small as what is in it allows, in place.
#pragma once

#include <string>

#include "lib/base/progress.h"
#include "lib/crypto/key_source.h"
#include "lib/io/resolver.h"

namespace platter {

struct CompactArgs {
  std::string path;
  std::string format;                          // empty: probe
  References references = References::beside;  // which files the images may name
  KeySource* keys = nullptr;                   // of encrypted images; null: none
  unsigned threads = 1;                        // at least 1
};

// Of all files of the image, bytes.
struct FileBytes {
  uint64_t size = 0;
  uint64_t allocated = 0;  // that the host keeps
};
struct CompactReport {
  FileBytes before, after;
};

// Gives back what the disk does not need: blocks that read as zeroes, blocks that nothing uses, and
// what leaked. The disk, its snapshots and the image's ids stay what they are, so that its children
// fit it as before; parents are only read. A crash, an error or Errc::cancelled at any moment
// leaves the same disk, and leaks at most. Errc::unsupported: the format or this image of it (one
// with a place for every block) has nothing to give back. Durable when it returns. Errors name the
// file.
Result<CompactReport> compact_image(const CompactArgs& args, Progress& progress);

}  // namespace platter
