#include "formats/qcow2/l1_table.h"

#include "lib/base/checked.h"

namespace platter::qcow2 {

L1Table::L1Table(FilePtr file, qcow2::Table where)
    : file_(std::move(file)), where_(where), pages_(div_up(where.entries, kPageEntries)) {}

L1Table::~L1Table() { forget_pages(); }

void L1Table::forget_pages() {
  for (std::atomic<Words*>& page : pages_) delete page.exchange(nullptr);
}

void L1Table::moved(const qcow2::Table& where) {
  forget_pages();
  where_ = where;
  pages_ = std::vector<std::atomic<Words*>>(div_up(where.entries, kPageEntries));
}

Result<L1Table::Words*> L1Table::page(uint64_t number) const {
  if (Words* there = pages_[number].load(std::memory_order_acquire); there != nullptr) return there;
  std::array<be64, kPageEntries> raw;
  const auto bytes =
      std::as_writable_bytes(std::span(raw)).first(entries_in(number) * sizeof(be64));
  TRY(file_->read_exact(where_.offset + number * kPageBytes, bytes));
  auto words = std::make_unique<Words>();
  for (uint64_t i = 0; i < kPageEntries; ++i) (*words)[i].store(raw[i], std::memory_order_relaxed);
  Words* expected = nullptr;
  // Who loses the race takes the winner's: it may have changes by now.
  if (!pages_[number].compare_exchange_strong(expected, words.get())) return expected;
  return words.release();
}

Result<uint64_t> L1Table::entry(uint64_t index) const {
  const Words* words = TRY(page(index / kPageEntries));
  return (*words)[index % kPageEntries].load(std::memory_order_acquire);
}

Result<uint64_t> L1Table::empty_run(uint64_t index) const {
  const uint64_t number = index / kPageEntries;
  const Words* words = TRY(page(number));
  const uint64_t end = entries_in(number);
  uint64_t i = index % kPageEntries;
  while (i < end && ((*words)[i].load(std::memory_order_acquire) & kOffsetMask) == 0) ++i;
  return i - index % kPageEntries;
}

Result<void> L1Table::store(uint64_t index, uint64_t value) {
  Words* words = TRY(page(index / kPageEntries));
  const MutexLock lock(mutex_);
  (*words)[index % kPageEntries].store(value, std::memory_order_release);
  if (dirty_.insert(index / kPageEntries).second) ++waiting_;
  return {};
}

L1Table::Pages L1Table::take_dirty() {
  Pages pages;
  const MutexLock lock(mutex_);
  for (const uint64_t number : dirty_) {
    std::array<be64, kPageEntries> raw;
    const Words& words = *pages_[number].load();
    for (uint64_t i = 0; i < kPageEntries; ++i) raw[i] = words[i].load(std::memory_order_relaxed);
    const Bytes bytes = std::as_bytes(std::span(raw)).first(entries_in(number) * sizeof(be64));
    pages.push_back({where_.offset + number * kPageBytes, {bytes.begin(), bytes.end()}});
  }
  dirty_.clear();
  return pages;
}

Result<void> L1Table::write(const Pages& pages) {
  for (const Page& page : pages) TRY(file_->write(page.offset, page.bytes));
  return {};
}

void L1Table::written(const Pages& pages) { waiting_ -= pages.size(); }

void L1Table::put_back(const Pages& pages) {
  const MutexLock lock(mutex_);
  for (const Page& page : pages) {
    if (!dirty_.insert(number_of(page)).second) --waiting_;
  }
}

}  // namespace platter::qcow2
