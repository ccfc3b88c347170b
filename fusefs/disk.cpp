#include "fusefs/disk.h"

#include <algorithm>

#include "lib/base/log.h"

namespace platter::fusefs {

Result<PartitionsPtr> Disk::partitions() const {
  // Held while the table is read: everybody who asks waits for the same few reads.
  const MutexLock lock(mutex_);
  if (!partitions_) {
    const Layout::Request reading(container_.layout());
    PartitionTable table = TRY_IN(layer().path, read_partitions(view(reading)));
    for (const std::string& text : table.warnings) {
      log::info("{}: partition table: {}", layer().path, text);
    }
    partitions_ = std::make_shared<const std::vector<Partition>>(std::move(table.partitions));
  }
  return partitions_;
}

void Disk::changed(const Range& range) const {
  const MutexLock lock(mutex_);
  if (!partitions_) return;
  // Tables lie outside the partitions they tell of.
  const auto holds = [&](const Partition& p) {
    return p.range.contains(range) && range.offset - p.range.offset >= kInnerTableEnd;
  };
  const bool inside = std::any_of(partitions_->begin(), partitions_->end(), holds);
  if (!inside) partitions_.reset();
}

const Partition* Disk::find(const std::vector<Partition>& partitions, uint32_t number) {
  const auto found = std::find_if(partitions.begin(), partitions.end(),
                                  [=](const Partition& p) { return p.number == number; });
  return found == partitions.end() ? nullptr : &*found;
}

}  // namespace platter::fusefs
