#include "fusefs/served.h"

#include <ctime>

namespace platter::fusefs {

Served::Served(const Container& image, Descriptor home, const MountOptions& options,
               unsigned workers)
    : container(image),
      tree(image.states()),
      directory(std::move(home)),
      ownership(options.ownership),
      threads(workers),
      resize(options.resize),
      since(std::time(nullptr)) {
  const State* shown = nullptr;
  if (const auto& wanted = options.container.snapshot; !wanted.empty()) {
    const Result<const State*> found = container.find_state(wanted);
    if (found) shown = *found;
  }
  disks.emplace_back(container, shown);
  for (const State& state : container.states()) disks.emplace_back(container, &state);
}

}  // namespace platter::fusefs
