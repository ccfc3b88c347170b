#include "lib/container/cached_chain.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "lib/crypto/hash.h"

namespace platter {
namespace {

using Clock = std::chrono::system_clock;
using Nanoseconds = std::chrono::nanoseconds;

// A kernel stamps files with a clock that stands still for as long.
constexpr auto kTick = std::chrono::milliseconds(20);
// File systems of old keep seconds, and the oldest every second one.
constexpr auto kCoarseTick = std::chrono::seconds(2);

std::string text_of(const std::optional<Uuid>& id) { return id ? id->to_string() : "-"; }

// Tables of its own: pages are kept by the file's address.
Result<ImagePtr> open_for_info(const CachedChain::Layer& layer) {
  const auto denied = deny_resolver("only its ids are wanted");
  return layer.format->open({.file = layer.files.front(),
                             .resolver = *denied,
                             .tables = std::make_shared<PageCache>(0),
                             .info_only = true});
}

Result<std::string> text_of(const CachedChain::Layer& layer, const Image& image) {
  const ImageInfo& info = image.info();
  std::string text = fmt::format("{} {} {} {} {}\n", info.format, image.size(), text_of(info.uuid),
                                 text_of(info.modification_uuid), info.content_id);
  for (const FilePtr& file : layer.files) {
    const FileStat st = TRY(file->stat());
    std::error_code none;  // a disk in an archive is no file
    const auto path = std::filesystem::weakly_canonical(file->name(), none);
    text += fmt::format("{} {} {} {}\n", path.string(), st.start, st.size, st.mtime_ns);
  }
  return text;
}

// Waits until the next change of these files gets another time.
Result<void> settle(const CachedChain::Layer& layer) {
  for (const FilePtr& file : layer.files) {
    const Nanoseconds changed(TRY(file->stat()).mtime_ns);
    const bool coarse = changed % std::chrono::seconds(1) == Nanoseconds(0);
    const Nanoseconds age = Clock::now().time_since_epoch() - changed;
    if (age < Nanoseconds(0) || (coarse && age < kCoarseTick)) {
      return Error(Errc::invalid, "its last change could not be told from the next one");
    }
    if (age < kTick) std::this_thread::sleep_for(kTick - age);
  }
  return {};
}

}  // namespace

Result<CachedChain> CachedChain::look_at(std::vector<Layer> layers, std::optional<State> state,
                                         bool may_change) {
  CachedChain chain(std::move(layers), std::move(state), may_change);
  chain.disk_ = TRY(chain.identify(chain.layers_));
  chain.parents_ = TRY(chain.identify(std::span(chain.layers_).subspan(1)));
  return chain;
}

Result<CachedDisk> CachedChain::identify(std::span<const Layer> layers) const {
  CachedDisk disk;
  RunningDigest digest(Hash::sha256);
  if (state_) TRY(digest.add(std::as_bytes(std::span(state_->name))));
  for (const Layer& layer : layers) {
    const ImagePtr image = TRY_IN(layer.files.front()->name(), open_for_info(layer));
    const std::string text = TRY(text_of(layer, *image));
    TRY(digest.add(std::as_bytes(std::span(text))));
    if (&layer != layers.data()) continue;
    disk.uuid = image->info().uuid.value_or(Uuid{});
    disk.modification_uuid = image->info().modification_uuid.value_or(Uuid{});
    disk.size = state_ ? state_->size : image->size();
  }
  TRY(digest.finish(disk.digest));
  return disk;
}

Result<CachedDisk> CachedChain::at_end() const {
  const auto changed = [] { return Error(Errc::invalid, "somebody else has changed the disk"); };
  for (const Layer& layer : layers_) TRY(settle(layer));
  if (TRY(identify(std::span(layers_).subspan(1))) != parents_) return changed();
  const CachedDisk now = TRY(identify(layers_));
  if (now != disk_ && !may_change_) return changed();
  return now;
}

}  // namespace platter
