// Layers of a chain merged into one of its images.
#pragma once

#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/crypto/key_source.h"
#include "lib/io/resolver.h"

namespace platter {

struct MergeArgs {
  std::string path;    // IMAGE
  std::string format;  // empty: probe
  // merge_down(): the ancestor that takes the data; empty: the parent. merge_up(): the ancestor
  // that IMAGE stands on afterwards; empty: none.
  std::string ancestor;
  std::string ancestor_format;  // where the image above it does not say; empty: probe
  // Images whose parent is IMAGE, to be taken along.
  std::vector<std::string> children;
  bool remove = false;                         // merge_up(): the layers between are deleted
  References references = References::beside;  // which files the images may name
  KeySource* keys = nullptr;                   // of encrypted images; null: none
  unsigned threads = 1;                        // at least 1
};
struct MergeReport {
  std::string target;                // the image that has all of it now
  uint64_t size = 0;                 // of its disk, bytes
  uint64_t copied = 0;               // bytes of data written
  uint64_t zeroed = 0;               // bytes made zero without
  std::vector<std::string> deleted;  // images, in this order
};

// What follows keeps the disk what it is, for IMAGE and for the children that are taken along. Each
// step is durable before the next; a crash, an error or Errc::cancelled at any moment leaves a
// chain that opens and shows the same disk (and perhaps space that leaks, or an image between that
// nobody needs any more, whose contents are none then). Others that stand on what changes or goes
// are looked for as find_dependents() does. All images are locked. Errors name the file. Progress
// is in bytes of the disk. Errc::unsupported: IMAGE has no parent; invalid: the ancestor is none of
// its, or a child none of its; busy: somebody else stands on one of them; and where something would
// be lost: internal snapshots, or secrecy (encrypted data would go where none is).

// The data of IMAGE, and of the layers between, goes down into the ancestor, and they are deleted,
// IMAGE first. The ancestor gets IMAGE's size: it grows, or is cut; where its format cannot cut it,
// what is behind is zero. Children stand on it then. Errc::unsupported, too: it cannot grow.
Result<MergeReport> merge_down(const MergeArgs& args, Progress& progress);

// What the layers between IMAGE and the ancestor have, and IMAGE has not, goes up into it, which
// then stands on the ancestor, or on nothing. They stay what they are, or are deleted.
Result<MergeReport> merge_up(const MergeArgs& args, Progress& progress);

}  // namespace platter
