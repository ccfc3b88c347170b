#include "formats/qcow2/new_counts.h"

#include <fmt/format.h>

#include "formats/qcow2/packed_count.h"

namespace platter::qcow2 {

NewCounts::NewCounts(FilePtr file, const Header& header, const Refcounts& old)
    : file_(std::move(file)),
      cluster_bits_(header.cluster_bits),
      order_(header.refcount_order),
      old_(old) {}

Result<void> NewCounts::load(uint64_t index, Block& block) {
  std::vector<std::byte> bytes;
  if (block.place == 0) {
    bytes = TRY(old_.block(index));
  } else {
    bytes.resize(uint64_t{1} << cluster_bits_);
    TRY(file_->read_exact(block.place << cluster_bits_, bytes));
  }
  block.bytes = std::move(bytes);
  ++loaded_;
  return {};
}

// Null: the image has none either.
Result<NewCounts::Block*> NewCounts::block_for(uint64_t cluster) {
  const uint64_t index = cluster / per_block();
  auto found = blocks_.find(index);
  if (found == blocks_.end()) {
    Block block{.before = TRY(old_.block_place(index))};
    if (block.before == 0) return nullptr;
    TRY(load(index, block));
    found = blocks_.emplace(index, std::move(block)).first;
    ++unplaced_;
  } else if (found->second.bytes.empty()) {
    TRY(load(index, found->second));
  }
  return &found->second;
}

Result<uint64_t> NewCounts::get(uint64_t cluster) {
  // Looking at one makes no difference.
  if (!blocks_.contains(cluster / per_block())) return old_.get(cluster);
  const Block* const block = TRY(block_for(cluster));
  return packed_count(block->bytes, order_, cluster % per_block());
}

Result<void> NewCounts::change(uint64_t cluster, int delta) {
  Block* const block = TRY(block_for(cluster));
  const uint64_t index = cluster % per_block();
  const uint64_t count = block == nullptr ? 0 : packed_count(block->bytes, order_, index);
  if (count == 0) {
    return Error(Errc::corrupt,
                 fmt::format("refcounts: cluster {} is in use and is not counted", cluster));
  }
  if (delta > 0 && count == max_count(order_)) {
    return Error(Errc::unsupported,
                 fmt::format("refcounts: cluster {} is used {} times, and its refcount has no "
                             "room for more",
                             cluster, count));
  }
  set_packed_count(block->bytes, order_, index, delta > 0 ? count + 1 : count - 1);
  block->dirty = true;
  return {};
}

Result<void> NewCounts::add(uint64_t first, uint64_t count, int delta) {
  for (uint64_t cluster = first; cluster < first + count; ++cluster) TRY(change(cluster, delta));
  return {};
}

void NewCounts::follow(uint64_t cluster, uint64_t before, uint64_t after) {
  if (before == after || fault_ || !blocks_.contains(cluster / per_block())) return;
  Result<Block*> block = block_for(cluster);
  if (!block) {
    fault_ = std::move(block.error());
    return;
  }
  const uint64_t index = cluster % per_block();
  const uint64_t count = packed_count((*block)->bytes, order_, index);
  const bool up = after > before;
  const uint64_t step = up ? after - before : before - after;
  if (up ? step > max_count(order_) - count : step > count) {
    fault_ = Error(Errc::corrupt, fmt::format("refcounts: cluster {} is counted wrong", cluster));
    return;
  }
  set_packed_count((*block)->bytes, order_, index, up ? count + step : count - step);
  (*block)->dirty = true;
}

void NewCounts::place(const std::vector<uint64_t>& clusters) {
  auto next = clusters.begin();
  for (auto& [index, block] : blocks_) {
    if (next == clusters.end()) return;
    if (block.place != 0) continue;
    block.place = *next++;
    --unplaced_;
  }
}

NewCounts::Pages NewCounts::take_changed() {
  Pages pages;
  for (auto& [index, block] : blocks_) {
    if (block.place == 0 || !block.dirty) continue;
    pages.push_back({block.place << cluster_bits_, block.bytes});
    block.dirty = false;
  }
  return pages;
}

void NewCounts::trim(uint64_t keep) {
  for (auto& [index, block] : blocks_) {
    if (in_memory() <= keep) return;
    if (block.bytes.empty() || block.dirty) continue;
    block.bytes = {};
    --loaded_;
  }
}

Result<std::vector<be64>> NewCounts::table_entries() const {
  std::vector<be64> entries = TRY(old_.entries());
  for (const auto& [index, block] : blocks_) entries[index] = block.place << cluster_bits_;
  return entries;
}

std::vector<NewCounts::Replaced> NewCounts::replaced() const {
  std::vector<Replaced> all;
  for (const auto& [index, block] : blocks_) {
    all.push_back({index, block.before, block.place << cluster_bits_});
  }
  return all;
}

}  // namespace platter::qcow2
