#include "lib/api/c_status.h"

namespace platter::api {
namespace {

thread_local std::string last_error = "";
thread_local bool no_memory = false;

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

int failed(const Error& error) noexcept {
  no_memory = false;
  try {
    last_error = error.message();
  } catch (const std::exception&) {
    return out_of_memory();
  }
  return static_cast<int>(error.code()) + 1;
}

int out_of_memory() noexcept {
  no_memory = true;
  return PLATTER_NO_MEMORY;
}

// Errc and the statuses are in one order.
static_assert(static_cast<int>(Errc::io) + 1 == PLATTER_IO);
static_assert(static_cast<int>(Errc::not_found) + 1 == PLATTER_NOT_FOUND);
static_assert(static_cast<int>(Errc::corrupt) + 1 == PLATTER_CORRUPT);
static_assert(static_cast<int>(Errc::read_only) + 1 == PLATTER_READ_ONLY);
static_assert(static_cast<int>(Errc::cancelled) + 1 == PLATTER_CANCELLED);

Result<std::vector<std::pair<std::string, std::string>>> pairs_of(const char* const* words) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (; words != nullptr && *words != nullptr; ++words) {
    const std::string word = *words;
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Error(Errc::invalid, word + ": is not KEY=VALUE");
    }
    pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return pairs;
}

Result<OpenFlags> flags_of(uint32_t bits) {
  OpenFlags flags;
  const auto take = [&](uint32_t bit) {
    const bool set = (bits & bit) != 0;
    bits &= ~bit;
    return set;
  };
  flags.read_only = take(PLATTER_OPEN_READ_ONLY);
  flags.honor_zeroes = take(PLATTER_OPEN_HONOR_ZEROES);
  flags.honor_same = take(PLATTER_OPEN_HONOR_SAME);
  flags.info = take(PLATTER_OPEN_INFO);
  flags.shareable = take(PLATTER_OPEN_SHAREABLE);
  flags.sequential = take(PLATTER_OPEN_SEQUENTIAL);
  flags.discard = take(PLATTER_OPEN_DISCARD);
  if (bits == 0) return flags;
  return Error(Errc::invalid, "there is no such flag to open an image with");
}

Result<NewImageOf> new_image_of(const platter_new_image* image) {
  if (image == nullptr || image->path == nullptr || image->format == nullptr) {
    return missing_argument();
  }
  NewImageOf made{.path = image->path,
                  .format = image->format,
                  .size = image->size,
                  .variant = text_or_empty(image->variant),
                  .passphrase = text_or_empty(image->passphrase)};
  made.options = TRY(pairs_of(image->options));
  made.metadata = TRY(pairs_of(image->metadata));
  made.flags = TRY(flags_of(image->flags));
  return made;
}

Result<OpenImage> image_of(const char* path, const char* format, uint32_t flags,
                           const char* passphrase) {
  if (path == nullptr) return missing_argument();
  OpenImage image{
      .path = path, .format = text_or_empty(format), .passphrase = text_or_empty(passphrase)};
  image.flags = TRY(flags_of(flags));
  return image;
}

}  // namespace platter::api

const char* platter_last_error(void) {
  return platter::api::no_memory ? "out of memory" : platter::api::last_error.c_str();
}
