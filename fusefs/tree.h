// Tree: the names in a container's directory and the inode numbers behind them. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/base/sync.h"
#include "lib/partition/partition.h"

namespace platter::fusefs {

// One file or directory. Every field is in its inode number, so no table of nodes is kept.
struct Node {
  enum class Kind : unsigned char {
    state = 1,   // the container's directory, or snapshots/NAME
    disk,        // disk.raw
    info,        // info.json
    partitions,  // the directory
    snapshots,   // the directory; of the container's only
    error,       // error.txt, the only entry of a container that cannot be opened
    partition,   // partitions/N.raw
  };
  Kind kind = Kind::state;
  uint32_t disk = 0;       // 0: the disk itself; i + 1: the state with the number i
  uint32_t partition = 0;  // its number
  uint32_t container = 0;  // its number in the mount; 0: the mount is this one

  bool is_directory() const {
    return kind == Kind::state || kind == Kind::partitions || kind == Kind::snapshots;
  }
};

// That of the directory of container 0 is 1, as FUSE wants the root's. Stable for an image that
// does not change.
uint64_t inode_of(const Node& node);
// Empty: no node has such a number. Whether the container, the disk and the partition exist is
// another question.
std::optional<Node> node_of(uint64_t inode);

// Thread safe.
class Tree {
 public:
  // container: its number, of every node here.
  explicit Tree(uint32_t container) : container_(container) {}
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // names: of the states, as entries of snapshots/, by number; empty: that one is gone.
  void update(std::vector<std::string> names) EXCLUDES(mutex_);

  // The disk itself, its info.json or one of its directories.
  Node of_disk(Node::Kind kind) const { return {.kind = kind, .container = container_}; }

  // The disk of the node is there.
  bool has(const Node& node) const;

  // The entry of that name in a directory. partitions: the disk's, looked at only for a node of
  // Kind::partitions.
  std::optional<Node> find(const Node& directory, std::string_view name,
                           std::span<const Partition> partitions) const;

  struct Entry {
    std::string name;
    Node node;
    uint64_t next = 0;  // the index the one behind it is looked for from
  };
  // The first entry at or behind index, in the order of the directory; empty: none is.
  std::optional<Entry> entry(const Node& directory, uint64_t index,
                             std::span<const Partition> partitions) const;

  static Node parent(const Node& node);

 private:
  // Of the state with that number.
  Node state_node(uint32_t index) const { return {.disk = index + 1, .container = container_}; }
  std::optional<Entry> state_entry(uint64_t index) const EXCLUDES(mutex_);

  const uint32_t container_;
  mutable SharedMutex mutex_;
  std::vector<std::string> names_ GUARDED_BY(mutex_);  // of states; empty: it is gone
  std::unordered_map<std::string, uint32_t> by_name_ GUARDED_BY(mutex_);
};

}  // namespace platter::fusefs
