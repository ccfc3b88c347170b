// Tree: the names in a mount and the inode numbers behind them. No I/O.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/base/sync.h"
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

// Thread safe.
class Tree {
 public:
  explicit Tree(const std::deque<State>& states) { update(states); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Other states, or other names of them.
  void update(const std::deque<State>& states) EXCLUDES(mutex_);

  // Empty: no node has that inode number.
  std::optional<Node> node(uint64_t inode) const;

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
  std::optional<Entry> state_entry(uint64_t index) const EXCLUDES(mutex_);

  mutable SharedMutex mutex_;
  std::vector<std::string> names_ GUARDED_BY(mutex_);  // of states; empty: it is gone
  std::unordered_map<std::string, uint32_t> by_name_ GUARDED_BY(mutex_);
};

}  // namespace platter::fusefs
