// Tree: the names in a mount and the inode numbers behind them. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/container/container.h"
#include "lib/partition/partition.h"

namespace platter::fusefs {

// One file or directory. Every field is in its inode number, so no table of nodes is kept.
struct Node {
  enum class Kind : unsigned char {
    state = 1,   // the root, or snapshots/NAME
    disk,        // disk.raw
    info,        // info.json
    partitions,  // the directory
    snapshots,   // the directory; in the root only
    partition,   // partitions/N.raw
  };
  Kind kind = Kind::state;
  uint32_t disk = 0;       // 0: the disk itself; i + 1: states()[i]
  uint32_t partition = 0;  // its number

  bool is_directory() const {
    return kind == Kind::state || kind == Kind::partitions || kind == Kind::snapshots;
  }
};

// The root's is 1, as FUSE wants it. Stable for an image that does not change.
uint64_t inode_of(const Node& node);

// Immutable. Thread safe.
class Tree {
 public:
  explicit Tree(const std::vector<State>& states);
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Empty: no node has that inode number.
  std::optional<Node> node(uint64_t inode) const;

  // The entry of that name in a directory. partitions: the disk's, looked at only for a node of
  // Kind::partitions.
  std::optional<Node> find(const Node& directory, std::string_view name,
                           std::span<const Partition> partitions) const;

  struct Entry {
    std::string name;
    Node node;
  };
  // The entries in the order of the directory; empty behind the last one.
  std::optional<Entry> entry(const Node& directory, uint64_t index,
                             std::span<const Partition> partitions) const;

  static Node parent(const Node& node);

 private:
  std::vector<std::string> names_;  // of states
  std::unordered_map<std::string_view, uint32_t> by_name_;
};

}  // namespace platter::fusefs
