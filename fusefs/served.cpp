#include "fusefs/served.h"

#include <ctime>

namespace platter::fusefs {

Served::Served(Container& image, Descriptor home, const MountOptions& options, unsigned workers)
    : container(image),
      tree(image.states()),
      directory(std::move(home)),
      ownership(options.ownership),
      threads(workers),
      resize(options.resize),
      direct(options.direct),
      since(std::time(nullptr)) {
  const State* shown = nullptr;
  if (const auto& wanted = options.container.snapshot; !wanted.empty()) {
    const Result<const State*> found = container.find_state(wanted);
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
