#include "fusefs/make_gallery.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <thread>
#include <utility>

#include "fusefs/built_on.h"
#include "fusefs/images.h"
#include "fusefs/open_container.h"
#include "lib/base/log.h"
#include "lib/base/sync.h"
#include "lib/base/text.h"
#include "lib/crypto/secret.h"

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

// What an image has to be remarked about is said once, however often it is opened.
class Said {
 public:
  void say(const std::string& remark) {
    const MutexLock lock(mutex_);
    if (said_.insert(remark).second) log::warning("{}", remark);
  }

 private:
  Mutex mutex_;
  std::set<std::string> said_ GUARDED_BY(mutex_);
};

Links links_of(const ImageFile& image) { return image.named ? Links::follow : Links::refuse; }

// A child may have been made since the mount was.
Access access_to(const ImageFile& image, const MountOptions& options) {
  if (options.overlay) return options.container.access;
  if (!image.writable || options.container.access == Access::read) return Access::read;
  const bool is_parent = is_built_on(image.path, options.container.format, links_of(image));
  return is_parent ? Access::read : Access::write;
}

Result<Made> make_one(const MountOptions& options) {
  ImageFile image = only_image(options);
  PassphraseSource keys(options.key);
  Opened opened = TRY(open_container(options, image.path, options.container.access, keys));
  // What is written takes its space where the top of the chain is.
  image.home = TRY(open_home(opened.container->chain().front().path));
  Made made;
  made.remarks = std::move(opened.remarks);
  made.gallery =
      std::make_unique<Gallery>(served_by(options), std::move(image), std::move(opened.container));
  return made;
}

Result<Made> make_several(const MountOptions& options) {
  std::vector<ImageFile> images = TRY(list_images(options));
  if (options.key.given()) forbid_core_dumps();
  const auto keys = std::make_shared<GivenKey>(
      options.key.given() ? TRY(read_passphrase(options.key)) : Secret());
  const bool writable = options.overlay || std::any_of(images.begin(), images.end(),
                                                       [](const auto& i) { return i.writable; });
  const auto said = std::make_shared<Said>();
  std::vector<std::string> named;
  for (const ImageFile& image : images) {
    if (image.named) named.push_back(image.path);
  }
  auto open = [=](const ImageFile& image) -> Result<std::unique_ptr<Container>> {
    MountOptions of_one = options;
    of_one.container.links = links_of(image);
    of_one.container.cross_mounts = false;
    of_one.container.named = named;
    Opened opened = TRY(open_container(of_one, image.path, access_to(image, options), *keys));
    for (const std::string& remark : opened.remarks) said->say(printable(remark));
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
