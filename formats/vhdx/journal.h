// Journal: the log of a VHDX, written. Changes of tables reach their places through it, so that a
// crash leaves all pages of one change or none.
#pragma once

#include <map>
#include <optional>

#include "formats/vhdx/headers.h"
#include "lib/base/sync.h"
#include "lib/image/flush_order.h"

namespace platter::vhdx {

// Thread safe.
class Journal {
 public:
  // Pages that one change can have: those of the smallest log, in one entry.
  static constexpr size_t kMostPages = 253;

  // headers: of file, whose log is empty.
  Journal(FilePtr file, const Headers& headers) : file_(std::move(file)), headers_(headers) {}

  Header header() const;

  // Whole pages of 4 KiB (what is missing of one at its end is zero), at most kMostPages. What the
  // file holds when it is called is durable before the change is there, and file_size (bytes, at
  // least what the file then had) among it. with: the header from then on; its log is none of the
  // caller's. Durable, and the log empty, after the next sync of the file, which comes before the
  // next call. After an error the change may be there after a crash, and the next call comes to
  // grips with it.
  Result<void> commit(const Table::Pages& pages, uint64_t file_size,
                      const std::optional<Header>& with = {});

  // Both headers; durable when it returns.
  Result<void> replace_header(const Header& header);

 private:
  Result<void> settle() REQUIRES(mutex_);
  Result<void> write_log(const Table::Pages& pages, const Uuid& log, uint64_t file_size)
      REQUIRES(mutex_);
  Result<void> open_log(Header header, const Uuid& log) REQUIRES(mutex_);
  Result<void> write_in_place() REQUIRES(mutex_);
  Result<void> close_log() REQUIRES(mutex_);

  const FilePtr file_;
  mutable Mutex mutex_;
  Headers headers_ GUARDED_BY(mutex_);  // durable, but for the one that closed the log
  // The header that is not current may say that the log holds something.
  bool perhaps_open_ GUARDED_BY(mutex_) = false;
  // What the log holds that is not in its places yet, as the current header says.
  std::optional<Table::Pages> pending_ GUARDED_BY(mutex_);
};

// Bytes of the file to be changed, in whole pages.
class PagePatch {
 public:
  explicit PagePatch(const File& file) : file_(file) {}
  Result<void> put(uint64_t offset, Bytes bytes);
  Table::Pages pages() const;
  size_t size() const { return pages_.size(); }
  void clear() { pages_.clear(); }

 private:
  const File& file_;
  std::map<uint64_t, std::vector<std::byte>> pages_;  // by their places
};

}  // namespace platter::vhdx
