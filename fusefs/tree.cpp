#include "fusefs/tree.h"

#include <fmt/format.h>

namespace platter::fusefs {
namespace {

// An inode number is the container's, the disk's index and, in the low bits, the kind or the
// partition's number.
constexpr unsigned kContainerShift = 40;
constexpr unsigned kDiskShift = 20;
constexpr uint64_t kFirstPartition = 16;
constexpr uint64_t kSlots = uint64_t{1} << kDiskShift;
constexpr uint64_t kDisks = uint64_t{1} << (kContainerShift - kDiskShift);

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

// The entries of a state's directory; the disk itself has one more.
std::span<const Fixed> fixed_entries(const Node& directory) {
  return std::span(kFixed).first(directory.disk == 0 ? 4 : 3);
}

bool has_inode(const Partition& partition) { return partition.number < kSlots - kFirstPartition; }

std::string name_of(const Partition& partition) { return fmt::format("{}.raw", partition.number); }

}  // namespace

uint64_t inode_of(const Node& node) {
  const uint64_t slot = node.kind == Node::Kind::partition ? kFirstPartition + node.partition
                                                           : static_cast<uint64_t>(node.kind);
  return (uint64_t{node.container} << kContainerShift) | (uint64_t{node.disk} << kDiskShift) | slot;
}

std::optional<Node> node_of(uint64_t inode) {
  const uint64_t slot = inode % kSlots;
  Node node{.disk = static_cast<uint32_t>((inode >> kDiskShift) % kDisks),
            .container = static_cast<uint32_t>(inode >> kContainerShift)};
  if (slot >= kFirstPartition) {
    node.kind = Node::Kind::partition;
    node.partition = static_cast<uint32_t>(slot - kFirstPartition);
    return node;
  }
  if (slot == 0 || slot >= static_cast<uint64_t>(Node::Kind::partition)) return std::nullopt;
  node.kind = static_cast<Node::Kind>(slot);
  return node;
}

void Tree::update(std::vector<std::string> names) {
  // More have no numbers.
  if (names.size() >= kDisks) names.resize(kDisks - 1);
  const WriteLock lock(mutex_);
  names_ = std::move(names);
  by_name_.clear();
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!names_[i].empty()) by_name_.emplace(names_[i], i);
  }
}

bool Tree::has(const Node& node) const {
  const ReadLock lock(mutex_);
  return node.container == container_ &&
         (node.disk == 0 || (node.disk <= names_.size() && !names_[node.disk - 1].empty()));
}

std::optional<Node> Tree::find(const Node& directory, std::string_view name,
                               std::span<const Partition> partitions) const {
  if (directory.kind == Node::Kind::state) {
    for (const Fixed& fixed : fixed_entries(directory)) {
      if (fixed.name == name) return Node{fixed.kind, directory.disk, 0, container_};
    }
  } else if (directory.kind == Node::Kind::snapshots) {
    const ReadLock lock(mutex_);
    const auto found = by_name_.find(std::string(name));
    if (found != by_name_.end()) return state_node(found->second);
  } else if (directory.kind == Node::Kind::partitions) {
    for (const Partition& partition : partitions) {
      if (has_inode(partition) && name_of(partition) == name) {
        return Node{Node::Kind::partition, directory.disk, partition.number, container_};
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
    return Entry{std::string(fixed[index].name),
                 {fixed[index].kind, directory.disk, 0, container_},
                 index + 1};
  }
  if (directory.kind == Node::Kind::snapshots) return state_entry(index);
  if (index >= partitions.size() || !has_inode(partitions[index])) return std::nullopt;
  const Partition& partition = partitions[index];
  return Entry{name_of(partition),
               {Node::Kind::partition, directory.disk, partition.number, container_},
               index + 1};
}

std::optional<Tree::Entry> Tree::state_entry(uint64_t index) const {
  const ReadLock lock(mutex_);
  for (; index < names_.size(); ++index) {
    if (names_[index].empty()) continue;
    return Entry{names_[index], state_node(static_cast<uint32_t>(index)), index + 1};
  }
  return std::nullopt;
}

Node Tree::parent(const Node& node) {
  Node parent{.disk = node.disk, .container = node.container};
  if (node.kind == Node::Kind::partition) parent.kind = Node::Kind::partitions;
  if (node.kind == Node::Kind::state) {
    parent.disk = 0;
    if (node.disk != 0) parent.kind = Node::Kind::snapshots;
    if (node.disk == 0) parent.container = 0;
  }
  return parent;
}

}  // namespace platter::fusefs
