// Refcounts: how many pointers there are to each cluster of the file. Two levels: a table of
// blocks, each one cluster full of counts of 2^refcount_order bits.
#pragma once

#include "formats/qcow2/parse.h"
#include "lib/image/page_table.h"

namespace platter::qcow2 {

// Changes wait in the two tables for a flush; blocks() has to be durable before anything that
// points at a cluster, and before table(). Not thread safe: the Allocator's.
class Refcounts {
 public:
  Refcounts(const FilePtr& file, const Header& header, const std::shared_ptr<PageCache>& clean);

  platter::Table& blocks() { return blocks_; }
  platter::Table& table() { return table_; }
  uint64_t dirty_bytes() const { return blocks_.dirty_bytes() + table_.dirty_bytes(); }

  // Clusters one block counts, and clusters the table has entries for.
  uint64_t per_block() const { return uint64_t{1} << (cluster_bits_ + 3 - order_); }
  uint64_t covered() const { return where_.entries * per_block(); }
  uint64_t max() const;  // the largest count

  // 0 where no block counts the cluster. Errc::corrupt when the block cannot be found.
  Result<uint64_t> get(uint64_t cluster) const;
  // Whether a block counts the cluster, which is below covered().
  Result<bool> counted(uint64_t cluster) const;
  // A block counts the cluster; value at most max().
  Result<void> set(uint64_t cluster, uint64_t value);
  // The first cluster in [from, end) with a count of 0, or end. Looks at pages of the file one
  // after the other, at most pages of them; then gives where it stopped, and found is false.
  struct Found {
    uint64_t cluster = 0;
    bool found = false;
  };
  Result<Found> find_free(uint64_t from, uint64_t end, unsigned pages) const;

  // The block that counts the cluster becomes the one at host (bytes, a free cluster), all zero.
  Result<void> add_block(uint64_t cluster, uint64_t host);

  // Of the table's entry: where its block is, bytes; 0: there is none. And what that holds.
  Result<uint64_t> block_place(uint64_t index) const;
  Result<std::vector<std::byte>> block(uint64_t index) const;

  const Table& where() const { return where_; }
  // The table goes to another place of the file, which nothing else uses, with these entries; and
  // back to the place it was at before.
  void move(const Table& where, const std::vector<be64>& entries);
  void move_back(const Table& where) { where_ = where; }
  // The header names that table now, which is in the file with its blocks. Nothing waits in the old
  // ones.
  void use(const Table& where) { where_ = where; }
  // The table's entries as they are in memory.
  Result<std::vector<be64>> entries() const;

 private:
  Result<uint64_t> table_entry(uint64_t index) const;
  // Of counts smaller than a byte: which one of those in its byte.
  uint64_t in_byte(uint64_t index) const { return order_ < 3 ? index % (8U >> order_) : 0; }
  // The offset of the block, 0: none.
  Result<uint64_t> block_of(uint64_t cluster) const { return block_place(cluster / per_block()); }

  const uint32_t cluster_bits_;
  const uint32_t order_;
  Table where_;
  PageTable blocks_, table_;
};

}  // namespace platter::qcow2
