// L1Table: the active L1 table, kept in memory from the first look on.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include "formats/qcow2/parse.h"
#include "lib/image/flush_order.h"

namespace platter::qcow2 {

// Thread safe. A look-up takes no lock once its page (of 512 entries) is there: every request of
// every thread comes through here.
class L1Table final : public platter::Table {
 public:
  L1Table(FilePtr file, qcow2::Table where);
  ~L1Table() override;

  uint64_t entries() const { return where_.entries; }
  const qcow2::Table& where() const { return where_; }
  // index: below entries().
  Result<uint64_t> entry(uint64_t index) const;
  // How many entries from index on point at no L2 table; looks at one page only.
  Result<uint64_t> empty_run(uint64_t index) const;
  Result<void> store(uint64_t index, uint64_t value);

  // The table is at another place of the file, with the same entries and empty ones behind them.
  // Nothing waits in it, and nobody looks at it meanwhile.
  void moved(const qcow2::Table& where);

  uint64_t dirty_bytes() const { return waiting_.load() * kPageBytes; }

  Pages take_dirty() override;
  Result<void> write(const Pages& pages) override;
  void written(const Pages& pages) override;
  void put_back(const Pages& pages) override;

 private:
  static constexpr uint64_t kPageEntries = 512;
  static constexpr uint64_t kPageBytes = kPageEntries * sizeof(be64);
  using Words = std::array<std::atomic<uint64_t>, kPageEntries>;

  Result<Words*> page(uint64_t number) const;
  void forget_pages();
  uint64_t entries_in(uint64_t number) const {
    return std::min(kPageEntries, where_.entries - number * kPageEntries);
  }
  uint64_t number_of(const Page& page) const { return (page.offset - where_.offset) / kPageBytes; }

  const FilePtr file_;
  qcow2::Table where_;
  mutable std::vector<std::atomic<Words*>> pages_;  // owned; set once
  mutable Mutex mutex_;
  std::set<uint64_t> dirty_ GUARDED_BY(mutex_);  // page numbers
  std::atomic<uint64_t> waiting_{0};             // dirty pages and those on their way
};

}  // namespace platter::qcow2
