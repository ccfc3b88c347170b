// SeSparseExtent: a part of a disk in the "space efficient" files of ESX 6 and later. Only read.
#pragma once

#include <memory>
#include <optional>

#include "formats/vmdk/disk_extent.h"
#include "formats/vmdk/sesparse_header.h"
#include "lib/image/page_cache.h"

namespace platter::vmdk {

// Thread safe.
class SeSparseExtent final : public DiskExtent {
 public:
  struct Request {
    FilePtr file;
    std::optional<uint64_t> size;  // of the disk's part, bytes; else the header's capacity
    std::shared_ptr<PageCache> tables;
    bool info_only = false;  // put up with a journal that was not replayed
  };
  // As parse_sesparse_header(); and Errc::unsupported: its journal was not replayed; corrupt: it
  // has less than size.
  static Result<std::unique_ptr<SeSparseExtent>> open(Request request);

  Result<Extent> map(const Range& want) const override;
  uint64_t grain_size() const override;
  FilePtr file() const override { return file_; }
  std::string description() const override;
  std::vector<std::string> warnings() const override { return warnings_; }
  bool unclean() const override { return header_.dirty; }
  Result<void> check(Repair how, CheckReport& report) override;

 private:
  SeSparseExtent(Request request, const SeSparseHeader& header);

  // Entries side by side in one page.
  struct Window {
    PageCache::PagePtr page;
    size_t at = 0;
    uint64_t count = 0;  // at least 1
    uint64_t entry(uint64_t i) const;
  };
  Result<Window> window(const char* what, uint64_t at, uint64_t most) const;
  // Where the table begins, bytes. Errc::corrupt: no such table is in the file.
  Result<uint64_t> table_of(uint64_t index, uint64_t entry) const;
  uint64_t stored_grains() const;
  // Errc::corrupt: the entry of a table is none.
  Result<void> expect_entry(uint64_t grain, uint64_t entry) const;
  Result<Extent> map_table(uint64_t table, const Range& want) const;
  // wanted: a guest offset in the extent that is to be found.
  Extent stored(const Range& guest, uint64_t host, uint64_t wanted) const;
  Range guest_of(uint64_t grain, uint64_t count) const;
  Result<void> check_table(uint64_t index, uint64_t entry, CheckReport& report) const;

  const FilePtr file_;
  const std::shared_ptr<PageCache> pages_;
  const SeSparseHeader header_;
  std::vector<std::string> warnings_;
};

}  // namespace platter::vmdk
