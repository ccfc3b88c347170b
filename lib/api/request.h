// What a caller of the library asks for, in the words of the layers below.
#pragma once

#include <platter/virtual_disk.h>

#include <atomic>

#include "lib/base/progress.h"
#include "lib/container/container.h"
#include "lib/ops/create.h"

namespace platter::api {

// The passphrases of several images, by their files' names. Thread safety: one thread.
class Passphrases final : public KeySource {
 public:
  Passphrases() = default;
  explicit Passphrases(const OpenImage& image) { add(image.path, image.passphrase); }
  // An empty one is none.
  void add(const std::string& path, const std::string& passphrase);
  // Another image's is good for one that has none of its own.
  Result<Bytes> passphrase(std::string_view image) override;
  bool empty() const { return by_path_.empty(); }

 private:
  std::vector<std::pair<std::string, Secret>> by_path_;
};

// Progress as users of the library are told of it.
class Asked final : public Progress {
 public:
  // ask: outlives this.
  explicit Asked(const OnProgress& ask) : ask_(ask) {}
  void advance(uint64_t done, uint64_t total) override {
    if (ask_ && !ask_(done, total)) stopped_ = true;
  }
  bool cancelled() const override { return stopped_; }

 private:
  const OnProgress& ask_;
  std::atomic<bool> stopped_{false};
};

// 0: as many as there are processors.
unsigned threads_of(unsigned asked);

References policy_of(Naming naming);

// For reading with all parents; keys outlives the call that takes the options.
ContainerOptions options_to_read(const OpenImage& image, KeySource* keys);

// Errc::invalid: there is no such format.
Result<const Format*> format_of(const std::string& name);

// subformat and the format's own options.
Result<Options> options_of(const NewImageOf& image, const Format& format);

// Makes the image and sets its metadata, or leaves nothing.
Result<void> make_image(const NewImageOf& image, uint64_t size,
                        const std::optional<ParentLink>& parent);

// What a new image says of itself; after an error the image is removed.
Result<void> set_new_metadata(const NewImageOf& image);

// An image that was just made goes, with all its files, for something else went wrong.
void remove_new(const NewImageOf& image);

}  // namespace platter::api
