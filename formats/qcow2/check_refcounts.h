// StoredRefcounts: the refcounts an image has in its file, and how they agree with a count of the
// pointers.
#pragma once

#include "formats/qcow2/check_findings.h"
#include "formats/qcow2/parse.h"
#include "formats/qcow2/refcount_map.h"

namespace platter::qcow2 {

// Not thread safe. Keeps the refcount table (8 MiB at most) and one block. What set() changed goes
// to the file with write_back(), if not before.
class StoredRefcounts {
 public:
  // Entries that cannot be right count as none. findings: may be null.
  static Result<StoredRefcounts> load(File& file, const Header& header, Findings* findings);

  uint32_t order() const { return order_; }
  // Clusters a block counts.
  uint64_t per_block() const { return uint64_t{1} << (cluster_bits_ + 3 - order_); }
  // Offsets of the blocks, 0: there is none.
  const std::vector<uint64_t>& blocks() const { return blocks_; }
  bool has_block_for(uint64_t cluster) const {
    return cluster / per_block() < blocks_.size() && blocks_[cluster / per_block()] != 0;
  }
  // Whether one of the counts in the block for the cluster is not 0.
  Result<bool> block_counts(uint64_t cluster);
  // 0 where there is no block.
  Result<uint64_t> get(uint64_t cluster);
  // There is a block for the cluster; value: at most max_count().
  Result<void> set(uint64_t cluster, uint64_t value);
  Result<void> write_back();

  // A run of clusters that one block counts, or none does.
  struct Piece {
    uint64_t first = 0, end = 0;
    uint64_t base = 0;    // the cluster the block begins with
    uint64_t offset = 0;  // of the block, bytes
    MutableBytes block;   // empty: nothing is counted
  };
  // All of the map's window but for clusters with neither block nor pointers, in ascending order.
  template <class Visit>
  Result<void> for_each_piece(const RefcountMap& map, const Visit& visit);

 private:
  StoredRefcounts(File& file, const Header& header);
  void take(uint64_t index, uint64_t word, Findings* findings);
  void drop_shared_blocks(Findings* findings);
  // False: it is all zero.
  Result<bool> read_block(uint64_t index);

  File& file_;
  const uint32_t cluster_bits_, order_;
  const uint64_t file_size_;
  std::vector<uint64_t> blocks_;
  std::vector<std::byte> block_;
  uint64_t loaded_ = ~uint64_t{0};  // the index of what is in block_
  bool zero_ = false;               // it is all zero
  Range changed_;                   // counts of it that are not in the file yet
};

template <class Visit>
Result<void> StoredRefcounts::for_each_piece(const RefcountMap& map, const Visit& visit) {
  constexpr uint64_t kUncounted = 16384;  // clusters in a piece without a block
  for (uint64_t at = map.first(); at < map.last();) {
    const uint64_t index = at / per_block();
    const bool counted = index < blocks_.size() && blocks_[index] != 0 && TRY(read_block(index));
    const uint64_t base = index * per_block();
    const uint64_t end = std::min(base + per_block(), map.last());
    if (counted) {
      Piece piece{at, end, base, blocks_[index], block_};
      TRY(visit(piece));
      at = end;
      continue;
    }
    // Behind the last block there may be very many clusters, and nothing.
    const uint64_t stop = index < blocks_.size() ? end : map.last();
    at = map.next_used(at, stop);
    if (at == stop) continue;
    Piece piece{.first = at, .end = std::min(align_down(at, kUncounted) + kUncounted, stop)};
    TRY(visit(piece));
    at = piece.end;
  }
  loaded_ = ~uint64_t{0};  // visitors may have changed it
  return {};
}

// visit(cluster, references, stored) for every cluster of the window that either is not 0 for. Of
// clusters past the end of the file only those that are pointed at.
template <class Visit>
Result<void> for_each_count(StoredRefcounts& stored, const RefcountMap& map, uint64_t file_clusters,
                            const Visit& visit) {
  return stored.for_each_piece(map, [&](const StoredRefcounts::Piece& piece) -> Result<void> {
    for (uint64_t cluster = piece.first; cluster < piece.end; ++cluster) {
      const uint64_t references = map.count(cluster);
      const uint64_t count =
          piece.block.empty() ? 0 : packed_count(piece.block, stored.order(), cluster - piece.base);
      if (references == 0 && (count == 0 || cluster >= file_clusters)) continue;
      TRY(visit(cluster, references, count));
    }
    return {};
  });
}

// What differs in the map's window: refcounts from pointers, COPIED flags from refcounts.
Result<void> compare_refcounts(StoredRefcounts& stored, const RefcountMap& map,
                               const Header& header, Findings& findings);

}  // namespace platter::qcow2
