// New images: made whole or not at all.
#pragma once

#include <optional>

#include "lib/image/format.h"
#include "lib/ops/new_file.h"

namespace platter {

struct CreateArgs {
  std::string path;  // must not exist
  const Format& format;
  uint64_t size = 0;                                // of the disk, bytes
  Options options;                                  // as given: subformat, and the format's own
  uint32_t mode = 0600;                             // permission bits of the file
  std::optional<ParentLink> parent = std::nullopt;  // of a differencing image
  References references = References::beside;       // where a data file may be
  std::optional<Effort> compress = std::nullopt;    // blocks of data; the format can_compress()
  KeySource* keys = nullptr;                        // of an image that is to be encrypted
};

// What the format's create() takes: subformat=NAME becomes the option that makes that variant.
// Errc::invalid when the format cannot be created, or has not one of the options or the variant;
// the message lists those it has.
Result<Options> create_options(const Format& format, Options given);

// An image on its way: what is not written reads as zeroes. Goes without a trace unless commit()
// succeeds. Thread safety: one thread.
class NewImage {
 public:
  static Result<NewImage> begin(const CreateArgs& args);
  ~NewImage();
  NewImage(NewImage&& other) noexcept;

  ImageWriter& writer() { return *writer_; }
  // Completes the image, durably, and gives the file its name.
  Result<void> commit();

 private:
  class Parts;
  NewImage(NewFile file, std::unique_ptr<Parts> parts, ImageWriterPtr writer);

  NewFile file_;
  std::unique_ptr<Parts> parts_;  // the other files it is made of
  ImageWriterPtr writer_;
};

// An image of nothing but zeroes. Errors name the file.
Result<void> create_image(const CreateArgs& args);

}  // namespace platter
