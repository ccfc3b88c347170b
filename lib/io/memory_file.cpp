#include "lib/io/memory_file.h"

#include <cstring>

#include "lib/base/checked.h"

namespace platter {

MemoryFile::MemoryFile(std::string name) : name_(std::move(name)) {}

MemoryFile::MemoryFile(std::string name, Bytes contents) : MemoryFile(std::move(name)) {
  (void)write(0, contents);
}

void MemoryFile::become(const MemoryFile& other) {
  std::map<uint64_t, PagePtr> pages;
  uint64_t size = 0;
  {
    const MutexLock lock(other.mutex_);
    pages = other.pages_;
    size = other.size_;
  }
  const MutexLock lock(mutex_);
  pages_ = std::move(pages);
  size_ = size;
}

MemoryFile::Page& MemoryFile::own(PagePtr& page) {
  if (page == nullptr) page = std::make_shared<Page>();
  // Nobody else can come to hold it meanwhile.
  if (page.use_count() > 1) page = std::make_shared<Page>(*page);
  return *page;
}

Result<FileStat> MemoryFile::stat() const {
  const MutexLock lock(mutex_);
  // The address identifies it, as device and inode do a host file.
  return FileStat{.size = size_,
                  .allocated = pages_.size() * kPage,
                  .device = 0,
                  .inode = reinterpret_cast<uintptr_t>(this)};
}

Result<void> MemoryFile::write(uint64_t offset, Bytes data) {
  if (data.empty()) return {};
  const MutexLock lock(mutex_);
  if (!fits(offset, data.size(), kMaxOffset)) {
    return Error(Errc::no_space, name_ + ": write past the largest offset");
  }
  size_ = std::max(size_, offset + data.size());
  while (!data.empty()) {
    const uint64_t in_page = offset % kPage;
    const size_t n = std::min<uint64_t>(kPage - in_page, data.size());
    std::memcpy(own(pages_[offset / kPage]).data() + in_page, data.data(), n);
    offset += n;
    data = data.subspan(n);
  }
  return {};
}

Result<void> MemoryFile::resize(uint64_t size) {
  const MutexLock lock(mutex_);
  if (size > kMaxOffset) return Error(Errc::no_space, name_ + ": size past the largest offset");
  if (size < size_) {
    pages_.erase(pages_.lower_bound(div_up(size, kPage)), pages_.end());
    const auto last = pages_.find(size / kPage);
    if (last != pages_.end()) {
      std::memset(own(last->second).data() + size % kPage, 0, kPage - size % kPage);
    }
  }
  size_ = size;
  return {};
}

Result<size_t> MemoryFile::read_some(uint64_t offset, MutableBytes out) const {
  const MutexLock lock(mutex_);
  if (offset >= size_) return size_t{0};
  const uint64_t in_page = offset % kPage;
  const size_t n = std::min({kPage - in_page, static_cast<uint64_t>(out.size()), size_ - offset});
  const auto page = pages_.find(offset / kPage);
  if (page == pages_.end()) {
    std::memset(out.data(), 0, n);
  } else {
    std::memcpy(out.data(), page->second->data() + in_page, n);
  }
  return n;
}

Result<File::Run> MemoryFile::run_at(uint64_t offset) const {
  const MutexLock lock(mutex_);
  if (offset >= size_) return past_the_end(offset);
  auto page = pages_.lower_bound(offset / kPage);
  const bool data = page != pages_.end() && page->first == offset / kPage;
  uint64_t end = page == pages_.end() ? size_ : page->first * kPage;
  if (data) {
    for (end = page->first; page != pages_.end() && page->first == end; ++page) ++end;
    end *= kPage;
  }
  return Run{{offset, std::min(end, size_) - offset}, data};
}

}  // namespace platter
