// SnapshotEdit: a snapshot made, deleted, renamed or gone back to, so that one sector of the header
// decides whether it happened.
#pragma once

#include <memory>
#include <string>

#include "formats/qcow2/new_tables.h"
#include "formats/qcow2/snapshot_table_write.h"

namespace platter::qcow2 {

// What a writable image is made of; all of it outlives the change, which brings it up to date.
struct SnapshotHost {
  FilePtr file;
  Header& header;
  std::vector<Snapshot>& snapshots;
  uint64_t& disk_size;  // bytes
  L2Shape shape;
  L1Table& l1;
  PageTable& l2;
  Refcounts& refcounts;
  FlushOrder& order;
  MetadataMap& metadata;
  Allocator& allocator;
  std::shared_ptr<PageCache> clean;
  // Whoever changes an L1 or L2 table does it through this one when there is one.
  std::atomic<NewTables*>& following;
  // Set when an error leaves open which state the header names: nothing may be written then.
  std::atomic<bool>& not_sure;
};

// By the rules of platter::SnapshotChange.
class SnapshotEdit final : public SnapshotChange {
 public:
  // Checks the request, and begins to follow what changes.
  static Result<std::unique_ptr<SnapshotChange>> start(const SnapshotHost& host,
                                                       const SnapshotRequest& request);
  ~SnapshotEdit() override;

  Result<void> prepare() override;
  Result<void> finish() override;
  Result<void> clean_up() override;

 private:
  using What = SnapshotRequest::What;

  SnapshotEdit(const SnapshotHost& host, const SnapshotRequest& request);
  Result<void> check() const;
  Result<void> check_create() const;
  Result<void> check_name() const;
  const Snapshot& named() const { return host_.snapshots[request_.id - 1]; }
  void follow();

  Result<uint64_t> take_bytes(uint64_t bytes);
  Result<void> place_counts();
  Result<void> write_counts(uint64_t keep);
  Result<void> keep_memory_low();
  Result<std::vector<be64>> l1_of(const Table& table, uint64_t first) const;
  Result<void> count_l1(const Table& table, int delta);
  Result<void> lower_state(const Table& table);
  Result<void> make_tables();
  Result<void> make_tables_of_snapshot();
  Result<std::vector<TableEntry>> new_table();
  Result<void> take_places(const std::vector<TableEntry>& entries);
  Result<void> write(const std::vector<TableEntry>& entries);
  Result<void> write_header();
  void settle();
  void settle_tables();
  void settle_snapshots();
  void drop(const Range& range);
  void give_back();

  const SnapshotHost host_;
  const SnapshotRequest request_;
  const uint32_t cluster_bits_;
  std::unique_ptr<NewTables> tables_;  // null: the disk stays as it is
  bool finished_ = false;

  // What was taken: the first cluster, and how many.
  std::vector<std::pair<uint64_t, uint64_t>> taken_;
  Table old_l1_, l1_;
  Table old_counts_, counts_;
  Range old_snapshot_table_, snapshot_table_;  // bytes
  uint64_t disk_size_ = 0;
  Snapshot made_;
  std::vector<NewCounts::Replaced> replaced_;
};

}  // namespace platter::qcow2
