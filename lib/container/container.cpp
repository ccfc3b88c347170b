#include "lib/container/container.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "lib/base/log.h"
#include "lib/container/choose_snapshot.h"
#include "lib/container/state_names.h"
#include "lib/image/registry.h"

namespace platter {
namespace {

// Tables are looked up for every request, blocks only where the image is compressed: a quarter of
// the cache covers 64 GiB of qcow2 with 64 KiB clusters at the default size.
constexpr uint64_t kTableShare = 4;

std::vector<View::Layer> layers_from(const std::vector<ChainLayer>& chain, size_t depth,
                                     SnapshotId snapshot) {
  std::vector<View::Layer> layers;
  for (size_t i = depth; i < chain.size(); ++i) {
    layers.push_back({chain[i].image.get(), i == depth ? snapshot : 0});
  }
  return layers;
}

}  // namespace

Container::Container(uint64_t cache_bytes)
    : blocks_(cache_bytes - cache_bytes / kTableShare),
      tables_(std::make_shared<PageCache>(cache_bytes / kTableShare)) {}

Result<std::unique_ptr<Container>> Container::open(const std::string& path,
                                                   const ContainerOptions& options) {
  const Format* format = nullptr;
  if (!options.format.empty()) {
    format = find_format(options.format);
    if (format == nullptr) {
      return Error(Errc::invalid,
                   fmt::format("format={}: there is no such format", options.format));
    }
  }
  std::unique_ptr<Container> container(new Container(options.cache_bytes));
  container->chain_ = TRY(open_chain({.path = path,
                                      .overlay = options.overlay,
                                      .format = format,
                                      .references = options.references,
                                      .links = options.links,
                                      .given = options.given,
                                      .cross_mounts = options.cross_mounts,
                                      .named = options.named,
                                      .parents = options.parents,
                                      .access = options.access,
                                      .lock = options.lock,
                                      .epochs = &container->epochs_,
                                      .tables = container->tables_,
                                      .keys = options.keys}));
  container->make_states();
  if (options.cache_file != nullptr) TRY(container->start_cache(options));
  std::vector<View::Layer> layers = layers_from(container->chain_, 0, 0);
  if (!options.snapshot.empty()) {
    layers = TRY_IN(path, container->find_state(options.snapshot))->view->layers();
  }
  ViewPtr live = container->live_view(options, std::move(layers));
  if (options.access == Access::write) {
    container->layout_.emplace(container->epochs_, std::move(live));
  } else {
    container->layout_.emplace(std::move(live));
  }
  if (options.access == Access::write) TRY_IN(path, container->start_writing(options));
  return container;
}

Result<void> Container::start_writing(const ContainerOptions& options) {
  if (!options.snapshot.empty()) return Error(Errc::read_only, "an earlier state is only read");
  WriterOptions writer = options.writer;
  // What is written goes to the overlay, in front of the cache.
  if (options.overlay.file == nullptr) writer.cache = cache_.get();
  writer_ = std::make_unique<Writer>(*layout_, *chain_.front().image, writer);
  return {};
}

Container::~Container() {
  if (cache_ != nullptr) close_cache();
}

Result<void> Container::start_cache(const ContainerOptions& options) {
  if (!options.lock) {
    return Error(Errc::invalid, options.cache_file->name() +
                                    ": a cache image needs others to be kept from the disk "
                                    "(lock=on)");
  }
  std::vector<CachedChain::Layer> layers;
  for (size_t depth = options.overlay.file != nullptr ? 1 : 0; depth < chain_.size(); ++depth) {
    const ChainLayer& layer = chain_[depth];
    if (layer.image->info().encrypted) {
      return Error(Errc::unsupported,
                   fmt::format("{}: is encrypted: a cache image would hold its bytes in the clear",
                               layer.path));
    }
    layers.push_back({layer.format, layer.image->files()});
  }
  const bool may_change = options.access == Access::write && options.overlay.file == nullptr;
  std::optional<CachedChain::State> state;
  if (!options.snapshot.empty()) {
    const State* shown = TRY(find_state(options.snapshot));
    state = {options.snapshot, shown->view->size()};
  }
  cached_ = TRY(CachedChain::look_at(std::move(layers), std::move(state), may_change));
  cache_ = TRY(ReadCache::open(options.cache_file, options.cache_size, cached_->disk()));
  return {};
}

ViewPtr Container::live_view(const ContainerOptions& options, std::vector<View::Layer> layers) {
  if (cache_ == nullptr) return std::make_shared<const View>(std::move(layers), blocks_);
  const size_t front = options.overlay.file != nullptr ? 1 : 0;
  return std::make_shared<const View>(std::move(layers), blocks_, *cache_, front);
}

// Images may write until they are gone, and the cache is of what they left.
void Container::close_cache() {
  if (writer_ != nullptr && !writer_->is_flushed()) cache_->distrust();
  const std::string name = cache_->numbers().file;
  writer_.reset();
  states_.clear();
  layout_.reset();
  chain_.clear();
  const Result<CachedDisk> disk = cached_->at_end();
  Result<void> closed = disk ? cache_->close(*disk) : Result<void>(disk.error());
  if (!closed) {
    log::warning("{}: what it has will not count: {}", name, closed.error().message());
  }
}

void Container::make_states() {
  for (const SnapshotInfo& snapshot : chain_.front().image->snapshots()) {
    State state{.kind = State::Kind::snapshot, .name = snapshot.name, .snapshot = snapshot};
    state.view = std::make_shared<const View>(layers_from(chain_, 0, snapshot.id), blocks_);
    states_.push_back(std::move(state));
  }
  for (size_t depth = 1; depth < chain_.size(); ++depth) {
    State state{.kind = State::Kind::layer, .name = chain_[depth].file_name(), .depth = depth};
    state.view = std::make_shared<const View>(layers_from(chain_, depth, 0), blocks_);
    states_.push_back(std::move(state));
  }
  name_states();
}

// Parents first, which go by their file names: of two states with one name the first keeps it.
void Container::name_states() {
  std::vector<State*> order;
  for (const State::Kind kind : {State::Kind::layer, State::Kind::snapshot}) {
    for (State& state : states_) {
      if (state.kind == kind && !state.removed) order.push_back(&state);
    }
  }
  std::vector<EntryName> names;
  for (const State* const state : order) {
    const bool layer = state->kind == State::Kind::layer;
    names.push_back(
        {state->name, layer ? std::to_string(state->depth) : state->snapshot.format_id});
  }
  const std::vector<std::string> entries = entry_names(names);
  for (size_t i = 0; i < order.size(); ++i) order[i]->shown = entries[i];
}

Result<void> Container::change_snapshots(const SnapshotRequest& request) {
  return writer_->change_snapshots(request, [this] { update_states(); });
}

void Container::update_states() {
  std::map<SnapshotId, SnapshotInfo> there;
  for (SnapshotInfo& snapshot : chain_.front().image->snapshots()) {
    there.emplace(snapshot.id, std::move(snapshot));
  }
  for (State& state : states_) {
    if (state.kind != State::Kind::snapshot || state.removed) continue;
    const auto found = there.find(state.snapshot.id);
    state.removed = found == there.end();
    if (state.removed) continue;
    state.snapshot = found->second;
    state.name = state.snapshot.name;
    there.erase(found);
  }
  for (auto& [id, snapshot] : there) {
    State state{.kind = State::Kind::snapshot, .name = snapshot.name, .snapshot = snapshot};
    state.view = std::make_shared<const View>(layers_from(chain_, 0, id), blocks_);
    states_.push_back(std::move(state));
  }
  name_states();
}

Result<const State*> Container::find_state(std::string_view wanted) const {
  std::vector<const State*> states;
  std::vector<SnapshotInfo> snapshots;
  for (const State& state : states_) {
    if (state.kind != State::Kind::snapshot || state.removed) continue;
    states.push_back(&state);
    snapshots.push_back(state.snapshot);
  }
  const std::vector<size_t> found = find_snapshots(snapshots, wanted, NamedBy::name_or_id);
  if (found.size() > 1) return several_snapshots(found.size(), wanted);
  if (!found.empty()) return states[found.front()];
  return find_layer_or_shown(wanted);
}

Result<const State*> Container::find_layer_or_shown(std::string_view wanted) const {
  const auto pick = [&](auto matches) {
    std::vector<const State*> found;
    for (const State& state : states_) {
      if (!state.removed && matches(state)) found.push_back(&state);
    }
    return found;
  };
  const bool said = wanted.starts_with("id:") || wanted.starts_with("name:");
  std::vector<const State*> found;
  if (!said) {
    found = pick([=](const State& s) { return s.kind == State::Kind::layer && s.name == wanted; });
    if (found.empty()) found = pick([=](const State& s) { return s.shown == wanted; });
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return Error(Errc::not_found, fmt::format("there is no snapshot or layer \"{}\"", wanted));
  }
  return Error(Errc::invalid, fmt::format("{} layers are called \"{}\": the later ones go by "
                                          "NAME@DEPTH",
                                          found.size(), wanted));
}

Result<uint64_t> Container::allocated(size_t depth) const {
  uint64_t sum = 0;
  for (size_t i = depth; i < chain_.size(); ++i) {
    for (const FilePtr& file : chain_[i].image->files()) sum += TRY(file->stat()).allocated;
  }
  return sum;
}

}  // namespace platter
