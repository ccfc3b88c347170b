// The disk of an image made larger or smaller.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/container/container.h"

namespace platter {

// "10G": to that size; "+1G", "-1G": by that much.
struct SizeChange {
  enum class Kind : unsigned char { to, by_more, by_less } kind = Kind::to;
  uint64_t bytes = 0;
};
// Empty when it is no such thing.
std::optional<SizeChange> parse_size_change(std::string_view text);

struct ResizeArgs {
  std::string path;
  std::string format;  // empty: probe
  References references = References::beside;
  SizeChange change;
  bool shrink = false;        // cutting the disk is what is wanted
  KeySource* keys = nullptr;  // of an encrypted image
};
struct Resized {
  uint64_t before = 0, after = 0;  // bytes; the format may have rounded it up to a whole sector
};

// Locks the image. What is new reads as zeroes. Errc::invalid: smaller without shrink, or no size a
// disk can have; other errors as of Image::resize(). Errors name the file.
Result<Resized> resize_image(const ResizeArgs& args);

}  // namespace platter
