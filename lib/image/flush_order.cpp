#include "lib/image/flush_order.h"

#include <algorithm>

namespace platter {
namespace {

std::vector<FilePtr> each_once(std::vector<FilePtr> files, const FilePtr& meta) {
  if (std::find(files.begin(), files.end(), meta) == files.end()) files.push_back(meta);
  return files;
}

}  // namespace

FlushOrder::FlushOrder(std::vector<FilePtr> data, FilePtr meta, Table* counts, Table& pointers)
    : files_(each_once(std::move(data), meta)),
      meta_(std::move(meta)),
      counts_(counts),
      pointers_(pointers) {}

Result<void> FlushOrder::sync_data() {
  for (const FilePtr& file : files_) TRY(file->sync());
  return {};
}

Result<void> FlushOrder::write_all(const Table::Pages& counts, const Table::Pages& pointers) {
  if (!counts.empty()) TRY(counts_->write(counts));
  TRY(sync_data());
  if (pointers.empty()) return {};
  TRY(pointers_.write(pointers));
  return meta_->sync();
}

Result<void> FlushOrder::flush() {
  const MutexLock lock(one_at_a_time_);
  const Table::Pages pointers = pointers_.take_dirty();
  const Table::Pages counts = counts_ != nullptr ? counts_->take_dirty() : Table::Pages{};
  Result<void> done = write_all(counts, pointers);
  const auto settle = [&done](Table& table, const Table::Pages& pages) {
    if (done) {
      table.written(pages);
    } else {
      table.put_back(pages);
    }
  };
  settle(pointers_, pointers);
  if (counts_ != nullptr) settle(*counts_, counts);
  return done;
}

}  // namespace platter
