#include "fusefs/overlay.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "lib/base/uuid.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"

namespace platter::fusefs {
namespace {

Result<NewParent> describe_source(const MountOptions& options, const std::string& image,
                                  const std::string& overlay, const Format& format) {
  return describe_parent({.path = image,
                          .format = options.container.format,
                          .references = options.container.references,
                          .child = overlay,
                          .child_format = &format,
                          .found_anyway = true});
}

// What is written over an encrypted disk is encrypted.
Options options_over(const NewParent& source) {
  if (!source.encrypted) return {};
  return {{"encrypt.format", "luks"}};
}

Result<FilePtr> open_kept(const MountOptions& options, const std::string& image, Access access,
                          const Format& format, OverlayKeys& keys) {
  const std::string& path = options.overlay_file;
  if (access == Access::write && ::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    const NewParent source = TRY(describe_source(options, image, path, format));
    TRY(create_image({.path = path,
                      .format = format,
                      .size = source.size,
                      .options = options_over(source),
                      .parent = source.link,
                      .keys = &keys}));
  }
  return PosixFile::open(path, access);
}

Result<FilePtr> make_temporary(const MountOptions& options, const std::string& image,
                               const Format& format, OverlayKeys& keys) {
  const char* wanted = std::getenv("TMPDIR");
  const std::string directory = wanted != nullptr && *wanted != '\0' ? wanted : "/var/tmp";
  const std::string path =
      fmt::format("{}/platter-overlay-{}", directory, Uuid::random().to_string());
  const NewParent source = TRY(describe_source(options, image, path, format));
  // It never gets a name, or loses it with this object.
  const NewFile file = TRY(NewFile::begin(path, 0600));
  Options made = options_over(source);
  if (source.encrypted) {
    // Nobody has to remember this key, and nobody can guess it.
    keys.make_own(path);
    made["encrypt.iter-time"] = "1";
  }
  const ImageWriterPtr writer = TRY_IN(path, format.create({.file = file.file(),
                                                            .size = source.size,
                                                            .options = made,
                                                            .parent = source.link,
                                                            .keys = &keys}));
  TRY_IN(path, writer->finish());
  return file.file();
}

}  // namespace

void OverlayKeys::make_own(std::string image) {
  image_ = std::move(image);
  own_ = Secret::random(32);
}

Result<Bytes> OverlayKeys::passphrase(std::string_view image) {
  if (!image_.empty() && image == image_) return std::as_const(own_).bytes();
  return source_.passphrase(image);
}

Result<Overlay> open_overlay(const MountOptions& options, const std::string& image, Access access,
                             OverlayKeys& keys) {
  const Format& format = *find_format("qcow2");
  FilePtr file =
      TRY(options.overlay_file.empty() ? make_temporary(options, image, format, keys)
                                       : open_kept(options, image, access, format, keys));
  return Overlay{std::move(file), &format};
}

}  // namespace platter::fusefs
