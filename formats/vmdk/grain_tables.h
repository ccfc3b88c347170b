// GrainTables: the two levels that say where a grain is, read page by page.
#pragma once

#include <atomic>
#include <memory>

#include "formats/vmdk/grain_layout.h"
#include "lib/image/page_table.h"

namespace platter::vmdk {

// Thread safe.
class GrainTables {
 public:
  // Tables and directories change in units of a sector: guest bytes may lie right beside them.
  GrainTables(const FilePtr& file, const GrainLayout& layout, std::shared_ptr<PageCache> clean);

  // A grain table; or how many in a row are missing.
  struct Table {
    uint64_t offset = 0;  // bytes; 0: it is missing
    uint64_t missing = 0;
  };
  // index: of the directory, below its entries. end: of the file, bytes; it is moved before an
  // entry points behind it, and looked at after the entry. Where the entry cannot be right the
  // redundant one counts. Errc::corrupt: neither can.
  Result<Table> table(uint64_t index, const std::atomic<uint64_t>& end) const;
  // Of the redundant directory alone; 0: it is missing.
  Result<uint64_t> redundant_table(uint64_t index, const std::atomic<uint64_t>& end) const;

  // Entries of a table from one of them on, side by side in a page.
  struct Window {
    PageCache::PagePtr page;
    size_t at = 0;       // in the page
    uint64_t count = 0;  // at least 1
    uint32_t entry(uint64_t i) const { return load<le32>(Bytes(page->bytes), at + 4 * i); }
  };
  // While changes wait a window ends with its sector, else with its page.
  Result<Window> window(uint64_t table, uint64_t index) const;

  // The entry at this place of the file.
  Result<uint32_t> entry(uint64_t at) const { return uint32_t{TRY(entries_.read<le32>(at))}; }

  PageTable& entries() { return entries_; }
  PageTable& directories() { return directories_; }

 private:
  bool possible(uint32_t sector, uint64_t end) const;

  const GrainLayout layout_;
  PageTable entries_, directories_;
};

}  // namespace platter::vmdk
