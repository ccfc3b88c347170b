#include "fusefs/served.h"

#include <utility>

namespace platter::fusefs {

Served::Served(std::unique_ptr<Container> opened, uint32_t number, const ServedBy& mount)
    : owned(std::move(opened)), container(*owned), by(mount), tree(number, container.states()) {
  const State* shown = nullptr;
  if (!mount.snapshot.empty()) {
    const Result<const State*> found = container.find_state(mount.snapshot);
    if (found) shown = *found;
  }
  const WriteLock lock(disks_mutex);
  disks.push_back(std::make_unique<Disk>(container, shown));
  for (const State& state : container.states()) {
    disks.push_back(std::make_unique<Disk>(container, &state));
  }
}

Result<void> Served::change_snapshots(const SnapshotRequest& request) {
  TRY(container.change_snapshots(request));
  const Layout::Request reading(container.layout());
  const WriteLock lock(disks_mutex);
  for (size_t i = disks.size() - 1; i < container.states().size(); ++i) {
    disks.push_back(std::make_unique<Disk>(container, &container.states()[i]));
  }
  tree.update(container.states());
  return {};
}

}  // namespace platter::fusefs
