#include "fusefs/make_gallery.h"

#include <algorithm>
#include <ctime>
#include <thread>
#include <utility>

#include "fusefs/images.h"
#include "fusefs/open_container.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

namespace platter::fusefs {
namespace {

constexpr unsigned kLeastThreads = 4;

unsigned thread_count(const MountOptions& options) {
  if (options.single_thread) return 1;
  if (options.threads != 0) return options.threads;
  return std::max(kLeastThreads, std::thread::hardware_concurrency());
}

ServedBy served_by(const MountOptions& options) {
  return {.ownership = options.ownership,
          .snapshot = options.container.snapshot,
          .threads = thread_count(options),
          .resize = options.resize,
          .direct = options.direct,
          .thrown_away = options.overlay && options.overlay_file.empty(),
          .since = std::time(nullptr)};
}

// The passphrase that was given, for images that are opened when nobody is there to be asked.
class GivenKey final : public KeySource {
 public:
  explicit GivenKey(Secret secret) : secret_(std::move(secret)) {}
  Result<Bytes> passphrase(std::string_view /*image*/) override {
    if (secret_.size() != 0) return std::as_const(secret_).bytes();
    return Error(Errc::no_key, "it is encrypted: key-file or key-fd gives its passphrase");
  }

 private:
  Secret secret_;
};

Result<Made> make_one(const MountOptions& options) {
  ImageFile image = TRY(only_image(options));
  PassphraseSource keys(options.key);
  Opened opened = TRY(open_container(options, image.path, options.container.access, keys));
  Made made;
  made.remarks = std::move(opened.remarks);
  made.gallery =
      std::make_unique<Gallery>(served_by(options), std::move(image), std::move(opened.container));
  return made;
}

Result<Made> make_several(const MountOptions& options) {
  std::vector<ImageFile> images = TRY(list_images(options));
  const auto keys = std::make_shared<GivenKey>(
      options.key.given() ? TRY(read_passphrase(options.key)) : Secret());
  const bool writable = options.overlay || std::any_of(images.begin(), images.end(),
                                                       [](const auto& i) { return i.writable; });
  auto open = [options, keys](const ImageFile& image) -> Result<std::unique_ptr<Container>> {
    const Access access =
        image.writable || options.overlay ? options.container.access : Access::read;
    Opened opened = TRY(open_container(options, image.path, access, *keys));
    for (const std::string& remark : opened.remarks) log::warning("{}", printable(remark));
    return std::move(opened.container);
  };
  Made made;
  made.gallery =
      std::make_unique<Gallery>(served_by(options), std::move(images), std::move(open), writable);
  return made;
}

}  // namespace

Result<Made> make_gallery(const MountOptions& options) {
  return shows_several(options) ? make_several(options) : make_one(options);
}

}  // namespace platter::fusefs
