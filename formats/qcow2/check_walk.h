// TableWalk: every L1 and L2 table of an image, whichever states of the disk use it.
#pragma once

#include <functional>
#include <span>

#include "formats/qcow2/check_entry.h"
#include "formats/qcow2/l2_entries.h"
#include "formats/qcow2/snapshot_table.h"

namespace platter::qcow2 {

// The table or cluster at offset (bytes), zeroes where the file ends before it does. False: there
// is a hole, so it is all zeroes, and out is not touched.
Result<bool> read_table(const File& file, uint64_t offset, MutableBytes out);

struct L1Place {
  Table table;
  size_t snapshot = 0;  // its id; 0: the disk's own
  bool active() const { return snapshot == 0; }
  // "L1 table", or "snapshot 3: L1 table".
  std::string name() const;
};

// An L2 table and how many L1 entries point at it: states of the disk share what has not changed.
struct L2Use {
  uint64_t offset = 0;    // of the file, bytes
  uint64_t l1_index = 0;  // the first such entry's
  uint64_t uses = 0;
  uint64_t active = 0;  // those of the disk's own L1 table
};

// Reads L1 tables in pieces and each L2 table once a walk, in the order of the file, however many
// point at it. Needs about 4 MiB and one cluster. Not thread safe.
class TableWalk {
 public:
  TableWalk(File& file, const Header& header, const std::vector<Snapshot>& snapshots);

  // The disk's own first. Together they are not larger than the file.
  const std::vector<L1Place>& tables() const { return tables_; }
  // Ids of snapshots whose L1 table has no place in the file beside those before it.
  const std::vector<size_t>& overlapping() const { return overlapping_; }

  // word is not 0; what the visitor changes in it is written to the file.
  using VisitL1 = std::function<Result<void>(const L1Place&, uint64_t index, uint64_t& word)>;
  Result<void> for_each_l1_entry(const VisitL1& visit);
  // Of L2 tables that can be followed, in ascending order: all, or those the disk itself uses. An
  // L1 entry may not change meanwhile.
  enum class Of : unsigned char { all, disk };
  using VisitL2 = std::function<Result<void>(const L2Use&, L2Entries&)>;
  Result<void> for_each_l2(const VisitL2& visit, Of which = Of::all);

 private:
  Result<void> walk_l1(const L1Place& place, const VisitL1& visit);
  Result<void> walk_piece(const L1Place& place, uint64_t first, uint64_t entries,
                          const VisitL1& visit);
  // The uses of tables from offset from on, as many as there is room for; gives where the next
  // ones begin, kMaxOffset when there are none.
  Result<uint64_t> collect(uint64_t from);
  void merge();

  File& file_;
  const L2Shape shape_;
  const uint64_t file_size_;
  std::vector<L1Place> tables_;
  std::vector<size_t> overlapping_;
  std::vector<L2Use> uses_;
};

}  // namespace platter::qcow2
