#include "fusefs/served.h"

#include <utility>

#include <fmt/format.h>

namespace platter::fusefs {
namespace {

// What tells a state from all others that the image has or had. A name can be changed.
std::string identity(const Container& container, const State& state) {
  if (state.kind == State::Kind::layer) return "/" + container.chain()[state.depth].path;
  return fmt::format("{} {}", state.snapshot.created_ns, state.snapshot.format_id);
}

}  // namespace

Served::Served(std::unique_ptr<Container> opened, uint32_t number, const ServedBy& mount,
               StateNumbers& numbers)
    : owned(std::move(opened)), container(*owned), by(mount), tree(number), state_numbers(numbers) {
  const State* shown = nullptr;
  if (!mount.snapshot.empty()) {
    const Result<const State*> found = container.find_state(mount.snapshot);
    if (found) shown = *found;
  }
  const WriteLock lock(disks_mutex);
  disks.push_back(std::make_unique<Disk>(container, shown));
  number_states();
}

void Served::number_states() {
  std::vector<std::string> names(state_numbers.size());
  std::unordered_set<uint32_t> taken;
  for (const State& state : container.states()) {
    if (state.removed) continue;
    std::string key = identity(container, state);
    // A bad image may have two that are alike.
    while (!taken.insert(state_numbers.emplace(key, state_numbers.size()).first->second).second) {
      key += '+';
    }
    const uint32_t number = state_numbers.at(key);
    if (number >= names.size()) names.resize(number + 1);
    if (number + 1 >= disks.size()) disks.resize(number + 2);
    names[number] = state.shown;
    if (disks[number + 1] == nullptr) {
      disks[number + 1] = std::make_unique<Disk>(container, &state);
    }
  }
  tree.update(std::move(names));
}

Result<void> Served::change_snapshots(const SnapshotRequest& request) {
  TRY(container.change_snapshots(request));
  const Layout::Request reading(container.layout());
  const WriteLock lock(disks_mutex);
  number_states();
  return {};
}

}  // namespace platter::fusefs
