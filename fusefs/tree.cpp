#include "fusefs/tree.h"

#include <fmt/format.h>

namespace platter::fusefs {
namespace {

// An inode number is the disk's index and, in the low bits, the kind or the partition's number.
constexpr unsigned kDiskShift = 20;
constexpr uint64_t kFirstPartition = 16;
constexpr uint64_t kSlots = uint64_t{1} << kDiskShift;

struct Fixed {
  std::string_view name;
  Node::Kind kind;
};
constexpr Fixed kFixed[] = {
    {"disk.raw", Node::Kind::disk},
    {"info.json", Node::Kind::info},
    {"partitions", Node::Kind::partitions},
    {"snapshots", Node::Kind::snapshots},
};

// The entries of a state's directory; the root has one more.
std::span<const Fixed> fixed_entries(const Node& directory) {
  return std::span(kFixed).first(directory.disk == 0 ? 4 : 3);
}

bool has_inode(const Partition& partition) { return partition.number < kSlots - kFirstPartition; }

std::string name_of(const Partition& partition) { return fmt::format("{}.raw", partition.number); }

}  // namespace

uint64_t inode_of(const Node& node) {
  const uint64_t slot = node.kind == Node::Kind::partition ? kFirstPartition + node.partition
                                                           : static_cast<uint64_t>(node.kind);
  return (uint64_t{node.disk} << kDiskShift) | slot;
}

void Tree::update(const std::deque<State>& states) {
  const WriteLock lock(mutex_);
  names_.clear();
  by_name_.clear();
  for (const State& state : states) {
    names_.push_back(state.removed ? std::string() : state.shown);
    if (!state.removed) by_name_.emplace(state.shown, names_.size() - 1);
  }
}

std::optional<Node> Tree::node(uint64_t inode) const {
  const uint64_t disk = inode >> kDiskShift;
  const uint64_t slot = inode & (kSlots - 1);
  {
    const ReadLock lock(mutex_);
    if (disk > names_.size() || (disk != 0 && names_[disk - 1].empty())) return std::nullopt;
  }
  Node node{.disk = static_cast<uint32_t>(disk)};
  if (slot >= kFirstPartition) {
    node.kind = Node::Kind::partition;
    node.partition = static_cast<uint32_t>(slot - kFirstPartition);
    return node;
  }
  if (slot == 0 || slot >= static_cast<uint64_t>(Node::Kind::partition)) return std::nullopt;
  node.kind = static_cast<Node::Kind>(slot);
  return node;
}

std::optional<Node> Tree::find(const Node& directory, std::string_view name,
                               std::span<const Partition> partitions) const {
  if (directory.kind == Node::Kind::state) {
    for (const Fixed& fixed : fixed_entries(directory)) {
      if (fixed.name == name) return Node{.kind = fixed.kind, .disk = directory.disk};
    }
  } else if (directory.kind == Node::Kind::snapshots) {
    const ReadLock lock(mutex_);
    const auto found = by_name_.find(std::string(name));
    if (found != by_name_.end()) return Node{.disk = found->second + 1};
  } else if (directory.kind == Node::Kind::partitions) {
    for (const Partition& partition : partitions) {
      if (has_inode(partition) && name_of(partition) == name) {
        return Node{Node::Kind::partition, directory.disk, partition.number};
      }
    }
  }
  return std::nullopt;
}

std::optional<Tree::Entry> Tree::entry(const Node& directory, uint64_t index,
                                       std::span<const Partition> partitions) const {
  if (directory.kind == Node::Kind::state) {
    const auto fixed = fixed_entries(directory);
    if (index >= fixed.size()) return std::nullopt;
    return Entry{std::string(fixed[index].name), {fixed[index].kind, directory.disk, 0}, index + 1};
  }
  if (directory.kind == Node::Kind::snapshots) return state_entry(index);
  if (index >= partitions.size() || !has_inode(partitions[index])) return std::nullopt;
  const Partition& partition = partitions[index];
  return Entry{
      name_of(partition), {Node::Kind::partition, directory.disk, partition.number}, index + 1};
}

std::optional<Tree::Entry> Tree::state_entry(uint64_t index) const {
  const ReadLock lock(mutex_);
  for (; index < names_.size(); ++index) {
    if (names_[index].empty()) continue;
    return Entry{names_[index], {.disk = static_cast<uint32_t>(index) + 1}, index + 1};
  }
  return std::nullopt;
}

Node Tree::parent(const Node& node) {
  if (node.kind == Node::Kind::partition) return {Node::Kind::partitions, node.disk, 0};
  if (node.kind == Node::Kind::state)
    return {node.disk == 0 ? Node::Kind::state : Node::Kind::snapshots};
  return {.disk = node.disk};
}

}  // namespace platter::fusefs
