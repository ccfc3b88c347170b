#include "lib/image/page_table.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace platter {
namespace {

constexpr uint64_t kPage = PageCache::kPageSize;

}  // namespace

PageTable::PageTable(FilePtr file, Range where, std::shared_ptr<PageCache> clean)
    : file_(std::move(file)), where_(where), clean_(std::move(clean)) {}

Result<PageCache::PagePtr> PageTable::page(uint64_t offset) const {
  if (waiting_.load() != 0) {
    const MutexLock lock(mutex_);
    const auto found = changed_.find(offset / kPage);
    if (found != changed_.end()) return PageCache::PagePtr(found->second.page);
  }
  return clean_->page(*file_, offset);
}

Result<void> PageTable::read_bytes(uint64_t offset, MutableBytes out) const {
  while (!out.empty()) {
    const PageCache::PagePtr from = TRY(page(offset));
    const size_t at = offset % kPage;
    if (at >= from->valid) {
      return Error(Errc::corrupt, fmt::format("truncated: nothing at {}", offset));
    }
    const size_t n = std::min(out.size(), from->valid - at);
    std::memcpy(out.data(), from->bytes.data() + at, n);
    offset += n;
    out = out.subspan(n);
  }
  return {};
}

Result<void> PageTable::store_bytes(uint64_t offset, Bytes value) {
  assert(where_.contains(Range{offset, value.size()}));
  const uint64_t index = offset / kPage;
  const size_t at = offset % kPage;
  const MutexLock lock(mutex_);
  const auto found = changed_.find(index);
  const PageCache::PagePtr old =
      found != changed_.end() ? found->second.page : TRY(clean_->page(*file_, offset));
  // A reader may hold the old page: it keeps what it has.
  auto page = std::make_shared<PageCache::Page>(*old);
  if (at + value.size() > page->valid) {
    std::memset(page->bytes.data() + page->valid, 0, at + value.size() - page->valid);
    page->valid = at + value.size();
  }
  std::memcpy(page->bytes.data() + at, value.data(), value.size());
  changed_[index] = {std::move(page), true};
  waiting_.store(changed_.size());
  return {};
}

Table::Pages PageTable::take_dirty() {
  Pages pages;
  const MutexLock lock(mutex_);
  for (auto& [index, changed] : changed_) {
    if (!changed.dirty) continue;
    changed.dirty = false;
    const Range range = intersect(where_, {index * kPage, changed.page->valid});
    const auto from = changed.page->bytes.begin() + static_cast<long>(range.offset % kPage);
    pages.push_back({range.offset, {from, from + static_cast<long>(range.length)}});
  }
  std::sort(pages.begin(), pages.end(),
            [](const Page& a, const Page& b) { return a.offset < b.offset; });
  return pages;
}

Result<void> PageTable::write(const Pages& pages) {
  for (const Page& page : pages) TRY(file_->write(page.offset, page.bytes));
  return {};
}

void PageTable::written(const Pages& pages) {
  const MutexLock lock(mutex_);
  for (const Page& page : pages) {
    const auto found = changed_.find(page.offset / kPage);
    if (found == changed_.end() || found->second.dirty) continue;
    // Another table may have bytes in this page: what it holds now is in the file alone.
    clean_->forget(*file_, page.offset);
    changed_.erase(found);
  }
  waiting_.store(changed_.size());
}

void PageTable::put_back(const Pages& pages) {
  const MutexLock lock(mutex_);
  for (const Page& page : pages) changed_.at(page.offset / kPage).dirty = true;
}

}  // namespace platter
