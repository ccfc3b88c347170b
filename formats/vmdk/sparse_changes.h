// SparseChanges: the writing half of a sparse extent. Its tables wait in memory.
#pragma once

#include <atomic>

#include "formats/vmdk/grain_space.h"
#include "formats/vmdk/grain_tables.h"
#include "formats/vmdk/sparse_header.h"
#include "lib/image/flush_order.h"
#include "lib/image/image.h"

namespace platter::vmdk {

// Thread safe, by the rules of Image. Lock order: the making of a table, the mark, then the space.
class SparseChanges {
 public:
  // tables: the extent's, over clean, which this changes; data_end: what its file is known to have.
  SparseChanges(FilePtr file, const SparseHeader& header, std::shared_ptr<PageCache> clean,
                GrainTables& tables, std::atomic<uint64_t>& data_end, Epochs& epochs);
  // Takes the mark of a writer away, if everything reached the file.
  ~SparseChanges();
  SparseChanges(const SparseChanges&) = delete;
  SparseChanges& operator=(const SparseChanges&) = delete;

  // Looks through all tables. Errc::corrupt: they are not sound, and not because somebody was cut
  // off; unsupported: grains are not aligned.
  Result<void> begin() EXCLUDES(begin_);
  bool begun() const { return begun_.load(); }
  // Before the first change of tables; durable when it returns.
  Result<void> mark() EXCLUDES(mark_);
  // Whether the mark stays when the extent is closed: what is in the file may not be what its
  // absence would say.
  void keep_mark(bool keep) { keep_mark_ = keep; }

  Result<Reservation> reserve(const Range& want);
  Result<void> publish(const Reservation& reservation);
  void abandon(const Reservation& reservation) noexcept;
  // Points so many grains, from this one on, which are in one sector of a table, at nothing or at
  // zeroes. host: where they were, bytes; 0: nowhere.
  Result<void> drop(uint64_t grain, uint64_t count, uint32_t entry, uint64_t host);
  Result<void> flush(bool wrote_data);
  bool wants_flush() const;

  // How many entries from this grain's on are in its sector of the table.
  static uint64_t in_sector(uint64_t grain) { return kInSector - grain % kInSector; }

 private:
  static constexpr uint64_t kInSector = kSector / sizeof(le32);

  // Both tables of a grain; redundant is 0 where there is none.
  struct Tables {
    uint64_t table = 0, redundant = 0;
  };
  Result<Tables> own_tables(uint64_t grain) EXCLUDES(make_table_);
  Result<Tables> find_tables(uint64_t index) const;
  Result<Tables> make_tables(uint64_t index) REQUIRES(make_table_);
  Result<uint64_t> new_grains(uint64_t table, uint64_t grain, uint64_t most) const;
  // In both tables, or in none.
  Result<void> store(const Tables& tables, uint64_t grain, std::span<const le32> entries);
  void data_reaches(uint64_t end);

  const FilePtr file_;
  const std::shared_ptr<PageCache> clean_;
  const SparseHeader header_;
  const GrainLayout layout_;
  GrainTables& tables_;
  std::atomic<uint64_t>& data_end_;
  GrainSpace space_;
  PageTable counts_;  // of which there are none
  FlushOrder order_;

  Mutex begin_;
  std::atomic<bool> begun_{false};
  Mutex make_table_;
  Mutex mark_;
  std::atomic<bool> marked_{false};
  std::atomic<bool> keep_mark_{false};
};

}  // namespace platter::vmdk
