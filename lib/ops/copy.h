// Copies of an image, or of a chain of them, with what they say of themselves.
#pragma once

#include <optional>
#include <vector>

#include "lib/base/progress.h"
#include "lib/crypto/key_source.h"
#include "lib/ops/create.h"

namespace platter {

struct CopyArgs {
  std::string path;
  std::string format;              // empty: probe
  std::string to;                  // must not exist
  const Format* target = nullptr;  // of the copies; null: what each image is
  Options options;                 // of them, as NewImage has them
  // Each image of the chain by itself: those below go beside the copy, under their own names, with
  // the extension of their new format. False: the disk as a whole.
  bool layers = false;
  // The copy of the image's parent, which shows the same disk: only what the image itself has is
  // copied, onto that. Empty: there is none.
  std::string parent;
  std::string parent_format;     // empty: probe
  std::optional<uint64_t> size;  // of the disk, bytes: at least what it is
  // What the copy says of itself, "uuid" for instance; the rest is what the image says, but for the
  // UUID, which is new.
  Metadata values;
  References references = References::beside;  // which files the images may name
  KeySource* keys = nullptr;                   // of encrypted images; null: none
  KeySource* new_keys = nullptr;               // of copies that are to be encrypted
  unsigned threads = 1;                        // at least 1
};
struct CopyReport {
  struct Copied {
    std::string path;
    std::string format;
    uint64_t bytes = 0;  // of data written
    // What the image says of itself, and the copy has no place for: names of values.
    std::vector<std::string> left_out = {};
  };
  std::vector<Copied> images;  // in the order they were made: what the others stand on comes first
};

// The sources are locked and not changed. Nothing is left of the copies unless all went well; they
// are durable then. Errors name the file. Progress is in bytes of one disk after the other.
// Errc::invalid: smaller than the disk, or what is encrypted would be no more in the copy;
// unsupported: the copy cannot say one of the values; and where the new format cannot have, or
// name, such a parent.
Result<CopyReport> copy_image(const CopyArgs& args, Progress& progress);

}  // namespace platter
