// Changes: the writing half of a qcow2 image.
#pragma once

#include <atomic>

#include "formats/qcow2/allocator.h"
#include "formats/qcow2/encryption.h"
#include "formats/qcow2/l1_table.h"
#include "formats/qcow2/l2_edit.h"
#include "formats/qcow2/new_tables.h"

namespace platter::qcow2 {

// Thread safe, by the rules of Image. Lock order: an L2 table's making, the tables of a change of
// the snapshots, the allocator, the flush order.
class Changes {
 public:
  struct Files {
    FilePtr image, data;  // the same one, but with external data
    DataCipher cipher;    // of the guest's data
  };
  // snapshots, l1, l2: the image's, which this changes.
  Changes(Files files, const Header& header, std::vector<Snapshot>& snapshots,
          const std::shared_ptr<PageCache>& tables, L1Table& l1, PageTable& l2, Epochs& epochs);

  // Errc::unsupported: this image is only read.
  static Result<void> check_supported(const Header& header);

  Result<void> begin() EXCLUDES(begin_);
  Result<Reservation> reserve(const Range& want);
  Result<void> publish(const Reservation& reservation);
  void abandon(const Reservation& reservation) noexcept;
  Result<Range> make_zero(const Range& want, File::Zero how);
  Result<void> flush(bool wrote_data);
  // By the rules of Image::change_snapshots().
  Result<std::unique_ptr<SnapshotChange>> change_snapshots(const SnapshotRequest& request);
  // By the rules of Image::resize().
  Result<void> resize(uint64_t size);
  uint64_t disk_size() const { return disk_size_; }
  // By the rules of Image::amend().
  Result<void> amend(const Metadata& options);
  bool wants_flush() const;

  // Guest bytes may go to these bytes of the file: no table is there, and the image is sound.
  bool may_overwrite(const Range& host) const;
  // What the file of the guest's data is known to have, bytes.
  uint64_t data_end() const { return data_end_.load(); }

 private:
  struct Place {
    uint64_t l1_index = 0;
    uint64_t l2_index = 0;
    uint64_t cluster = 0;  // its first guest byte
  };
  Place place_of(uint64_t guest) const;
  Result<L2Entry> entry_at(uint64_t l2_offset, uint64_t l2_index) const;
  Result<void> store_entry(uint64_t l2_offset, const Place& place, const L2Entry& entry);
  // In one unit of the table: all of them, or none on an error.
  Result<void> store_entries(uint64_t l2_offset, const Place& place,
                             std::span<const L2Entry> entries);
  // The offset of the L2 table, which is this image's alone: a new one or a copy when need be.
  Result<uint64_t> own_l2(uint64_t l1_index) EXCLUDES(make_l2_);
  Result<uint64_t> make_l2(uint64_t l1_index, uint64_t old) REQUIRES(make_l2_);
  // How many clusters of want, whole but for the only one, need a new place, from its start; and
  // have their entries in one unit of the L2 table, which changes as one.
  Result<uint64_t> new_clusters(uint64_t l2_offset, const Place& place, const Range& want) const;
  // Where the bytes of clusters in a row go; fresh: to some taken for them.
  struct Target {
    uint64_t host = 0;
    uint64_t clusters = 1;
    bool fresh = false;
    bool zeroed = false;
  };
  Result<Target> target_of(const L2Entry& old, const Place& place, uint64_t clusters);
  Result<uint64_t> zero_in_cluster(uint64_t l2_offset, const Place& place, const Range& part,
                                   File::Zero how);
  Result<void> grow(uint64_t size);
  Result<void> shrink(uint64_t size);
  Result<void> grow_l1(uint64_t entries);
  Result<void> zero_in_last_cluster(uint64_t from);
  Result<void> clear(const Range& range, bool zero);
  Result<void> clear_cluster(const Place& place, const Range& part, bool zero);
  Result<void> drop_table(uint64_t l1_index);
  Result<void> allocate_in_data_file(const Range& range);
  // The disk reads as before, and no entry of its tables says "zero".
  Result<void> do_without_zero_clusters();
  Result<void> do_without_zero_cluster(uint64_t l1_index, uint64_t l2_index);
  void drop(const L2Entry& entry);
  Result<void> begin_once();
  Result<void> expect_sound() const;
  // Damage that another write could make worse: no more writes, now or by others.
  Error damaged(Error error);
  void data_reaches(uint64_t end);

  const Files files_;
  Header header_;
  const std::shared_ptr<PageCache> tables_;
  std::vector<Snapshot>& snapshots_;
  const L2Shape shape_;
  L1Table& l1_;
  PageTable& l2_;
  Refcounts refcounts_;
  FlushOrder order_;
  MetadataMap metadata_;
  Allocator allocator_;
  uint64_t disk_size_;
  std::atomic<uint64_t> data_end_{0};
  std::atomic<NewTables*> following_{nullptr};  // while the snapshots are changed
  std::atomic<bool> damaged_{false};
  std::atomic<bool> begin_failed_{false};  // a flush has to find out whether syncs work

  Mutex begin_;
  bool begun_ GUARDED_BY(begin_) = false;
  Mutex make_l2_;
};

}  // namespace platter::qcow2
