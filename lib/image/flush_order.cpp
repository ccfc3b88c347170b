#include "lib/image/flush_order.h"

#include <algorithm>

namespace platter {
namespace {

std::vector<FilePtr> each_once(std::vector<FilePtr> files, const FilePtr& meta) {
  if (std::find(files.begin(), files.end(), meta) == files.end()) files.push_back(meta);
  return files;
}

}  // namespace

FlushOrder::FlushOrder(std::vector<FilePtr> data, FilePtr meta, std::vector<Table*> tables)
    : files_(each_once(std::move(data), meta)),
      meta_(std::move(meta)),
      tables_(std::move(tables)) {}

Result<void> FlushOrder::sync_data() {
  for (const FilePtr& file : files_) TRY(file->sync());
  return {};
}

Result<void> FlushOrder::write_all(const Copies& copies) {
  if (!copies.front().empty()) TRY(tables_.front()->write(copies.front()));
  TRY(sync_data());
  for (size_t i = 1; i < tables_.size(); ++i) {
    if (copies[i].empty()) continue;
    TRY(tables_[i]->write(copies[i]));
    TRY(meta_->sync());
  }
  return {};
}

void FlushOrder::settle(const Copies& copies, bool done) {
  for (size_t i = 0; i < copies.size(); ++i) {
    if (done) {
      tables_[i]->written(copies[i]);
    } else {
      tables_[i]->put_back(copies[i]);
    }
  }
}

Result<void> FlushOrder::flush() {
  const MutexLock lock(one_at_a_time_);
  Copies copies(tables_.size());
  for (size_t i = tables_.size(); i-- > 0;) copies[i] = tables_[i]->take_dirty();
  Result<void> done = write_all(copies);
  settle(copies, bool{done});
  return done;
}

Result<void> FlushOrder::write_first() {
  const MutexLock lock(one_at_a_time_);
  Copies copies{tables_.front()->take_dirty()};
  Result<void> done = tables_.front()->write(copies.front());
  settle(copies, bool{done});
  return done;
}

}  // namespace platter
