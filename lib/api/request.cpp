#include "lib/api/request.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "lib/image/registry.h"
#include "lib/ops/image_files.h"
#include "lib/ops/set.h"

namespace platter::api {

void Passphrases::add(const std::string& path, const std::string& passphrase) {
  if (passphrase.empty()) return;
  by_path_.emplace_back(path, Secret::copy_of(std::as_bytes(std::span(passphrase))));
}

Result<Bytes> Passphrases::passphrase(std::string_view image) {
  if (by_path_.empty()) {
    return Error(Errc::no_key, fmt::format("{}: is encrypted, and no passphrase is given", image));
  }
  for (const auto& [path, secret] : by_path_) {
    if (path == image) return secret.bytes();
  }
  return std::as_const(by_path_.back().second).bytes();
}

unsigned threads_of(unsigned asked) {
  return asked != 0 ? asked : std::max(std::thread::hardware_concurrency(), 1U);
}

References policy_of(Naming naming) {
  switch (naming) {
    case Naming::none: return References::none;
    case Naming::any: return References::any;
    case Naming::beside: break;
  }
  return References::beside;
}

ContainerOptions options_to_read(const OpenImage& image, KeySource* keys) {
  return {.format = image.format,
          .references = policy_of(image.references),
          .lock = !image.flags.shareable,
          .keys = keys};
}

Result<const Format*> format_of(const std::string& name) {
  const Format* const format = find_format(name);
  if (format != nullptr) return format;
  return Error(Errc::invalid, fmt::format("\"{}\": there is no such format", name));
}

Result<Options> options_of(const NewImageOf& image, const Format& format) {
  Options options;
  for (const auto& [key, value] : image.options) {
    if (options.emplace(key, value).second) continue;
    return Error(Errc::invalid, fmt::format("option {}: is given twice", key));
  }
  if (!image.variant.empty()) options["subformat"] = image.variant;
  TRY(create_options(format, options));
  return options;
}

Result<void> make_image(const NewImageOf& image, uint64_t size,
                        const std::optional<ParentLink>& parent) {
  const Format& format = *TRY(format_of(image.format));
  Passphrases keys;
  keys.add(image.path, image.passphrase);
  const Options options = TRY(options_of(image, format));
  TRY(create_image({.path = image.path,
                    .format = format,
                    .size = size,
                    .options = options,
                    .parent = parent,
                    .references = policy_of(image.references),
                    .keys = keys.empty() ? nullptr : &keys}));
  return set_new_metadata(image);
}

Result<void> set_new_metadata(const NewImageOf& image) {
  if (image.metadata.empty()) return {};
  Result<void> set =
      set_metadata({.path = image.path, .format = image.format, .values = image.metadata});
  if (!set) remove_new(image);
  return set;
}

void remove_new(const NewImageOf& image) {
  const auto alone = Container::open(
      image.path,
      {.format = image.format, .references = policy_of(image.references), .parents = false});
  if (!alone) return;
  const Result<ImageFiles> files = ImageFiles::of((*alone)->chain().front());
  if (files) (void)files->remove();
}

}  // namespace platter::api
