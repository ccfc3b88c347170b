// Qcow2Image: guest clusters found through two levels of tables.
#pragma once

#include "formats/qcow2/l2.h"
#include "formats/qcow2/parse.h"
#include "formats/qcow2/snapshot_table.h"
#include "lib/image/page_cache.h"

namespace platter::qcow2 {

// Immutable after construction, so thread safe; the tables' pages are the cache's.
class Qcow2Image final : public Image {
 public:
  struct Files {
    FilePtr image;
    FilePtr data;            // null: opened for info() only, though guest data lies elsewhere
    uint64_t data_size = 0;  // bytes
  };
  // files.data is files.image unless the header has external data. first_l1_page: the page the L1
  // table begins in, or null.
  Qcow2Image(Files files, std::shared_ptr<PageCache> tables, PageCache::PagePtr first_l1_page,
             const Header& header, std::vector<Snapshot> snapshots, ImageInfo info);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId snapshot) const override;
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<SnapshotInfo> snapshots() const override;
  std::vector<FilePtr> files() const override;

 private:
  // Entries of a table that lie in one page, from the one asked for on; at least one.
  struct Window {
    PageCache::PagePtr owner;  // null: the image keeps the page
    const PageCache::Page* page = nullptr;
    size_t offset = 0;  // in the page, bytes
    uint64_t entries = 0;
  };
  // Where a guest offset's L2 entry is, for messages.
  struct Place {
    uint64_t l1_index = 0, l2_index = 0;
  };

  Result<Window> window(const Table& table, uint64_t index, uint32_t entry_bits) const;
  L2Entry entry(const Window& l2, uint64_t i) const;
  Extent absent_run(const Window& l1, const Range& want) const;
  Result<Extent> run(const Window& l2, const Place& place, const Range& want) const;
  Result<Extent> data(const Allocation& first, uint64_t length, const Place& place,
                      const Range& want) const;
  Result<Extent> compressed(const Allocation& found, const Place& place, const Range& want) const;

  const Files files_;
  const std::shared_ptr<PageCache> tables_;
  // Of a disk of up to 256 GiB (with clusters of 64 KiB) it is the whole L1 table: kept, so that
  // threads do not meet at the cache's lock for the page that all of them want.
  const PageCache::PagePtr first_l1_page_;
  const L2Shape shape_;
  const Codec* const codec_;
  const uint64_t file_size_;
  const uint64_t size_;
  const Table l1_;
  const std::vector<Snapshot> snapshots_;
  const ImageInfo info_;
};

}  // namespace platter::qcow2
