// CachedChain: what tells the disk that a cache is of from every other one, and from the same one
// after somebody has changed it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/image/cache_image.h"
#include "lib/image/format.h"

namespace platter {

// Formats that keep an id of their contents are asked for it; the path, length and time of every
// file count with all of them. Thread safety: one thread.
class CachedChain {
 public:
  struct Layer {
    const Format* format = nullptr;
    std::vector<FilePtr> files;  // of the image, as Image::files(); they stay open
  };
  // What is shown when it is not the live disk.
  struct State {
    std::string name;
    uint64_t size = 0;  // bytes
  };
  // The top first. may_change: it is written meanwhile.
  static Result<CachedChain> look_at(std::vector<Layer> layers, std::optional<State> state,
                                     bool may_change);

  const CachedDisk& disk() const { return disk_; }

  // What the disk is at the end, when its images are closed; whoever changes it later leaves
  // another one. Errc::invalid: somebody else has changed it meanwhile, or who changes it next
  // might not be told from us.
  Result<CachedDisk> at_end() const;

 private:
  CachedChain(std::vector<Layer> layers, std::optional<State> state, bool may_change)
      : layers_(std::move(layers)), state_(std::move(state)), may_change_(may_change) {}
  Result<CachedDisk> identify(std::span<const Layer> layers) const;

  std::vector<Layer> layers_;
  std::optional<State> state_;
  bool may_change_;
  CachedDisk disk_, parents_;  // parents: of the layers that nobody changes
};

}  // namespace platter
