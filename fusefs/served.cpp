#include "fusefs/served.h"

#include <ctime>

namespace platter::fusefs {

Served::Served(const Container& container_, Descriptor directory_, const MountOptions& options,
               unsigned threads_)
    : container(container_),
      tree(container_.states()),
      directory(std::move(directory_)),
      ownership(options.ownership),
      threads(threads_),
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
