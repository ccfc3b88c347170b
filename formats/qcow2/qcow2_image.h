// Qcow2Image: guest clusters found through two levels of tables.
#pragma once

#include <memory>

#include "formats/qcow2/changes.h"
#include "formats/qcow2/encryption.h"
#include "formats/qcow2/l1_table.h"
#include "formats/qcow2/l2.h"
#include "formats/qcow2/parse.h"
#include "formats/qcow2/snapshot_table.h"
#include "lib/image/page_table.h"

namespace platter::qcow2 {

// Thread safe.
class Qcow2Image final : public Image {
 public:
  struct Files {
    FilePtr image;
    FilePtr data;            // null: opened for info() only, though guest data lies elsewhere
    uint64_t data_size = 0;  // bytes
    DataCipher cipher;       // of the guest's data
  };
  // files.data is files.image unless the header has external data. epochs: null to read only.
  Qcow2Image(Files files, const std::shared_ptr<PageCache>& tables, const Header& header,
             std::vector<Snapshot> snapshots, ImageInfo info, Epochs* epochs);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId snapshot) const override;
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<SnapshotInfo> snapshots() const override;
  // Looks at the file itself, not at what was read of it when it was opened.
  Result<void> check(Repair repair, CheckReport& report) override;
  std::optional<LuksPlace> luks_header() const override;
  std::vector<FilePtr> files() const override;

  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  void abandon(const Reservation& reservation) noexcept override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  Result<std::unique_ptr<SnapshotChange>> change_snapshots(const SnapshotRequest& request) override;
  Result<void> resize(uint64_t size) override;
  Result<void> amend(const Metadata& options) override;
  Result<void> set_parent(const ParentLink& parent) override;
  Result<void> drop_parent() override;
  Result<void> compact(Progress& progress) override;
  bool wants_flush() const override { return changes_ != nullptr && changes_->wants_flush(); }

 private:
  // Entries of a table that lie in one page, from the one asked for on; at least one.
  struct Window {
    PageCache::PagePtr page;
    size_t offset = 0;  // in the page, bytes
    uint64_t entries = 0;
  };
  // Where a guest offset's L2 entry is, for messages.
  struct Place {
    uint64_t l1_index = 0, l2_index = 0;
  };

  Result<Window> window(const Table& table, uint64_t index, uint32_t entry_bits) const;
  L2Entry entry(const Window& l2, uint64_t i) const;
  // An L1 entry, and how many from there on are empty.
  struct L1Run {
    uint64_t entry = 0;
    uint64_t empty = 0;
  };
  Result<L1Run> l1_run(SnapshotId snapshot, uint64_t index) const;
  Result<void> expect_writable() const;
  uint64_t data_end() const;
  Result<Extent> run(const Window& l2, const Place& place, const Range& want) const;
  Result<Extent> data(const Allocation& first, uint64_t length, const Place& place,
                      const Range& want) const;
  Result<Extent> compressed(const Allocation& found, const Place& place, const Range& want) const;

  const Files files_;
  const Range luks_;  // empty: there is no LUKS header
  const L2Shape shape_;
  const Codec* const codec_;
  const uint64_t file_size_;
  const uint64_t size_;  // bytes, when it was opened
  L1Table l1_;
  PageTable l2_;
  std::vector<Snapshot> snapshots_;
  const ImageInfo info_;
  std::unique_ptr<Changes> changes_;  // null: open for reading
};

}  // namespace platter::qcow2
