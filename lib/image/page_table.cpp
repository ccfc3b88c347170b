#include "lib/image/page_table.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace platter {
namespace {

constexpr uint64_t kPage = PageCache::kPageSize;
constexpr uint64_t kMaxWrite = MiB;

}  // namespace

PageTable::PageTable(FilePtr file, Range where, std::shared_ptr<PageCache> clean, uint64_t unit)
    : file_(std::move(file)), where_(where), clean_(std::move(clean)), unit_(unit) {}

Result<PageCache::PagePtr> PageTable::page(uint64_t offset) const {
  if (waiting_.load() != 0) {
    const MutexLock lock(mutex_);
    const auto found = changed_.find(offset / unit_);
    if (found != changed_.end()) return PageCache::PagePtr(found->second.page);
  }
  return clean_->page(*file_, offset);
}

Result<void> PageTable::read(uint64_t offset, MutableBytes out) const {
  while (!out.empty()) {
    const PageCache::PagePtr from = TRY(page(offset));
    const size_t at = offset % kPage;
    if (at >= from->valid) {
      return Error(Errc::corrupt, fmt::format("truncated: nothing at {}", offset));
    }
    const size_t n = std::min({out.size(), from->valid - at, unit_ - offset % unit_});
    std::memcpy(out.data(), from->bytes.data() + at, n);
    offset += n;
    out = out.subspan(n);
  }
  return {};
}

Result<void> PageTable::store(uint64_t offset, Bytes value) {
  assert(where_.contains(Range{offset, value.size()}));
  const uint64_t index = offset / unit_;
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

void PageTable::replace(uint64_t offset, Bytes units) {
  assert(offset % unit_ == 0 && units.size() % unit_ == 0);
  const MutexLock lock(mutex_);
  for (; !units.empty(); units = units.subspan(unit_), offset += unit_) {
    auto page = std::make_shared<PageCache::Page>();
    page->valid = offset % kPage + unit_;
    std::memcpy(page->bytes.data() + offset % kPage, units.data(), unit_);
    changed_[offset / unit_] = {std::move(page), true};
  }
  waiting_.store(changed_.size());
}

Table::Pages PageTable::take_dirty() {
  Pages pages;
  const MutexLock lock(mutex_);
  for (auto& [index, changed] : changed_) {
    if (!changed.dirty) continue;
    changed.dirty = false;
    const uint64_t start = index * unit_;
    const uint64_t valid = std::min(unit_, changed.page->valid - start % kPage);
    const Range range = intersect(where_, {start, valid});
    const auto from = changed.page->bytes.begin() + static_cast<long>(range.offset % kPage);
    pages.push_back({range.offset, {from, from + static_cast<long>(range.length)}});
  }
  std::sort(pages.begin(), pages.end(),
            [](const Page& a, const Page& b) { return a.offset < b.offset; });
  return pages;
}

// Neighbours go in one call.
Result<void> PageTable::write(const Pages& pages) {
  std::vector<std::byte> run;
  for (size_t i = 0; i < pages.size();) {
    const uint64_t offset = pages[i].offset;
    run.clear();
    for (; i < pages.size() && offset + run.size() == pages[i].offset; ++i) {
      if (run.size() + pages[i].bytes.size() > kMaxWrite) break;
      run.insert(run.end(), pages[i].bytes.begin(), pages[i].bytes.end());
    }
    TRY(file_->write(offset, run));
  }
  return {};
}

void PageTable::written(const Pages& pages) {
  const MutexLock lock(mutex_);
  for (const Page& page : pages) {
    const auto found = changed_.find(page.offset / unit_);
    if (found == changed_.end() || found->second.dirty) continue;
    // Another table may have bytes in this page: what it holds now is in the file alone.
    clean_->forget(*file_, page.offset);
    changed_.erase(found);
  }
  waiting_.store(changed_.size());
}

void PageTable::put_back(const Pages& pages) {
  const MutexLock lock(mutex_);
  for (const Page& page : pages) changed_.at(page.offset / unit_).dirty = true;
}

}  // namespace platter
