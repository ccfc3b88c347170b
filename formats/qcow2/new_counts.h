// NewCounts: the refcounts as they will be when a change of the snapshots is made, beside those the
// image has until then.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "formats/qcow2/refcounts.h"

namespace platter::qcow2 {

// They begin as the image's own and follow every change of those. Blocks that come to differ are
// kept here and go to other places of the file; of all others both states have the same one. Not
// thread safe: the Allocator's.
class NewCounts {
 public:
  NewCounts(FilePtr file, const Header& header, const Refcounts& old);

  Result<uint64_t> get(uint64_t cluster);
  // count clusters from first on get delta (1 or -1) more. Errc::corrupt when one that is lowered
  // is not counted or one that is raised is free; unsupported when one has no room for more.
  Result<void> add(uint64_t first, uint64_t count, int delta);
  // The image's own count of the cluster changes.
  void follow(uint64_t cluster, uint64_t before, uint64_t after);

  // Blocks with no place in the file, and their places (clusters, taken for that).
  uint64_t without_place() const { return unplaced_; }
  void place(const std::vector<uint64_t>& clusters);
  uint64_t in_memory() const { return loaded_ << cluster_bits_; }  // bytes
  // Those that have a place and changed, with the places (bytes) they are now to be written to;
  // they count as unchanged from here on.
  using Pages = platter::Table::Pages;
  Pages take_changed();
  // That was done: so many bytes of unchanged ones stay in memory.
  void trim(uint64_t keep);

  // The entries of the new refcount table, when everything is written out.
  Result<std::vector<be64>> table_entries() const;
  // The blocks that were replaced: which one of the table, and where both of them are (bytes).
  struct Replaced {
    uint64_t index = 0, before = 0, now = 0;
  };
  std::vector<Replaced> replaced() const;
  uint64_t per_block() const { return old_.per_block(); }
  // What went wrong while it followed: it is of no use then.
  const std::optional<Error>& fault() const { return fault_; }

 private:
  struct Block {
    uint64_t before = 0;  // bytes: where the image's own is
    uint64_t place = 0;   // a cluster; 0: none
    bool dirty = true;
    std::vector<std::byte> bytes;  // empty: they are at the place
  };

  Result<Block*> block_for(uint64_t cluster);
  Result<void> load(uint64_t index, Block& block);
  Result<void> change(uint64_t cluster, int delta);

  const FilePtr file_;
  const uint32_t cluster_bits_;
  const uint32_t order_;
  const Refcounts& old_;
  std::map<uint64_t, Block> blocks_;  // by their index in the table
  uint64_t unplaced_ = 0;
  uint64_t loaded_ = 0;  // blocks with their bytes here
  std::optional<Error> fault_;
};

}  // namespace platter::qcow2
