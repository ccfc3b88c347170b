#include "formats/vci/tree.h"

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/crc32c.h"

namespace platter::vci {
namespace {

constexpr uint64_t kLineBlocks = kCacheLine / kBlock;

template <class... Args>
Error corrupt(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "tree: " + fmt::format(text, std::forward<Args>(args)...)};
}

class Reader {
 public:
  Reader(const File& file, const Shape& shape, uint64_t disk_size)
      : file_(file),
        shape_(shape),
        disk_blocks_(div_up(disk_size, kBlock)),
        seen_(shape.nodes),
        taken_(shape.places.slots) {}

  Result<Tree> run() {
    TRY(visit(shape_.root, std::nullopt, 1));
    TRY(sum_up());
    return std::move(tree_);
  }

 private:
  // from: the disk block the entry above says its first one has. Bounded by kMaxDepth.
  Result<void> visit(uint64_t block, std::optional<uint64_t> from,
                     int depth) {  // NOLINT(misc-no-recursion)
    if (depth > kMaxDepth) return corrupt("more than {} levels", kMaxDepth);
    const uint64_t i = (block - shape_.root) / kNodeBlocks;
    if (block < shape_.root || (block - shape_.root) % kNodeBlocks != 0 || i >= shape_.nodes) {
      return corrupt("a node at block {}, which is no place for one", block);
    }
    if (seen_[i]) return corrupt("the node at block {} is in it twice", block);
    seen_[i] = true;
    ++tree_.nodes;
    std::vector<std::byte> node(kNodeSize);
    TRY(file_.read_exact(block * kBlock, node));
    switch (static_cast<NodeType>(node[0])) {
      case NodeType::leaf: return take_leaf(node, from);
      case NodeType::internal: return take_internal(node, from, depth);
    }
    return corrupt("the node at block {} is of no known kind", block);
  }

  Result<void> take_internal(Bytes node, std::optional<uint64_t> from,  // NOLINT(misc-no-recursion)
                             int depth) {
    for (size_t n = 0; n < kInternalEntries; ++n) {
      const auto e = load<InternalEntry>(node, 1 + n * sizeof(InternalEntry));
      if (e.child == 0) break;
      if (n == 0 && from && e.disk_block != *from) return wrong_start(*from);
      TRY(visit(e.child, e.disk_block, depth + 1));
    }
    return {};
  }

  Result<void> take_leaf(Bytes node, std::optional<uint64_t> from) {
    for (size_t n = 0; n < kLeafEntries; ++n) {
      const auto e = load<LeafEntry>(node, 1 + n * sizeof(LeafEntry));
      if (e.blocks == 0) break;
      if (n == 0 && from && e.disk_block != *from) return wrong_start(*from);
      TRY(take_line(e));
    }
    return {};
  }

  static Error wrong_start(uint64_t block) {
    return corrupt("a node does not begin with disk block {}, as the one above says", block);
  }

  Result<void> take_line(const LeafEntry& e) {
    const uint64_t at = e.disk_block, place = e.place;
    if (at < next_ || at >= disk_blocks_ || at % kLineBlocks != 0 || e.blocks != kLineBlocks) {
      return corrupt("a line at disk block {}, out of order or outside the disk", at);
    }
    next_ = at + kLineBlocks;
    if (e.pieces == 0 || e.pieces >= 1U << kPiecesOfALine) {
      return corrupt("the line at disk block {} has impossible pieces", at);
    }
    const uint64_t first = shape_.places.first_slot / kBlock;
    const uint64_t slot = (place - first) / kLineBlocks;
    if (place < first || (place - first) % kLineBlocks != 0 || slot >= shape_.places.slots) {
      return corrupt("the line at disk block {} lies at block {}, which is no place for one", at,
                     place);
    }
    if (taken_[slot]) return corrupt("two lines lie at block {}", place);
    taken_[slot] = true;
    CachedLine line{.guest = at * kBlock, .slot = slot, .pieces = e.pieces, .age = e.age};
    std::copy(e.checksums.begin(), e.checksums.end(), line.checksums.begin());
    tree_.lines.push_back(line);
    return {};
  }

  // They lie one behind the other.
  Result<void> sum_up() {
    std::vector<std::byte> node(kNodeSize);
    for (uint64_t i = 0; i < tree_.nodes; ++i) {
      if (!seen_[i]) return corrupt("its nodes do not lie side by side");
      TRY(file_.read_exact(shape_.node_block(i) * kBlock, node));
      tree_.checksum = crc32c(node, tree_.checksum);
    }
    return {};
  }

  const File& file_;
  const Shape& shape_;
  const uint64_t disk_blocks_;
  std::vector<bool> seen_, taken_;
  uint64_t next_ = 0;  // the first disk block the next line may begin at
  Tree tree_;
};

// What an entry says of the part of the disk below it.
struct Span {
  uint64_t from, to;  // disk blocks
  uint64_t node;
};

Span write_leaf(MutableBytes node, const Shape& shape, std::span<const CachedLine> lines) {
  node[0] = static_cast<std::byte>(NodeType::leaf);
  for (size_t n = 0; n < lines.size(); ++n) {
    const CachedLine& line = lines[n];
    LeafEntry e{.pieces = line.pieces,
                .age = line.age,
                .disk_block = line.guest / kBlock,
                .blocks = static_cast<uint32_t>(kLineBlocks),
                .place = shape.places.first_slot / kBlock + line.slot * kLineBlocks};
    std::copy(line.checksums.begin(), line.checksums.end(), e.checksums.begin());
    store(node, 1 + n * sizeof e, e);
  }
  if (lines.empty()) return {};
  return {lines.front().guest / kBlock, lines.back().guest / kBlock + kLineBlocks, 0};
}

Span write_internal(MutableBytes node, const Shape& shape, std::span<const Span> below) {
  node[0] = static_cast<std::byte>(NodeType::internal);
  for (size_t n = 0; n < below.size(); ++n) {
    const uint64_t length = std::min<uint64_t>(below[n].to - below[n].from, 0xffffffff);
    const InternalEntry e{.disk_block = below[n].from,
                          .blocks = static_cast<uint32_t>(length),
                          .child = shape.node_block(below[n].node)};
    store(node, 1 + n * sizeof e, e);
  }
  return {below.front().from, below.back().to, 0};
}

}  // namespace

Result<Tree> read_tree(const File& file, const Shape& shape, uint64_t disk_size) {
  return Reader(file, shape, disk_size).run();
}

std::vector<std::byte> encode_tree(const Shape& shape, const std::vector<CachedLine>& lines) {
  uint64_t next = nodes_for(lines.size());
  std::vector<std::byte> out(next * kNodeSize);
  const auto node = [&](uint64_t i) { return MutableBytes(out).subspan(i * kNodeSize, kNodeSize); };
  // The nodes over all entries, at most so many in each: in front of the level below, so that the
  // root is the first node.
  const auto write_level = [&](const auto& entries, size_t most, auto&& write_node) {
    const uint64_t count = std::max<uint64_t>(1, div_up(entries.size(), most));
    next -= count;
    std::vector<Span> level(count);
    for (uint64_t i = 0; i < count; ++i) {
      const auto rest = std::span(entries).subspan(i * most);
      level[i] = write_node(node(next + i), shape, rest.first(std::min(most, rest.size())));
      level[i].node = next + i;
    }
    return level;
  };
  std::vector<Span> level = write_level(lines, kLeafEntries, write_leaf);
  while (level.size() > 1) level = write_level(level, kInternalEntries, write_internal);
  return out;
}

}  // namespace platter::vci
