#include "formats/qcow2/refcount_map.h"

#include <algorithm>

namespace platter::qcow2 {
namespace {

constexpr size_t kExceptions = 16;
// What a chunk costs beside its counts: a node of the map, and what the allocator adds.
constexpr uint64_t kNode = 256;

}  // namespace

bool RefcountMap::Marks::at(uint16_t i) const {
  if (dense) return (words[i / 64] >> i % 64 & 1) != 0;
  return rest != (std::find(words.begin(), words.end(), i) != words.end());
}

void RefcountMap::Marks::set(uint16_t i, bool value) {
  if (at(i) == value) return;
  if (!dense) {
    if (std::erase(words, uint64_t{i}) != 0) return;
    if (words.size() < kExceptions) {
      words.push_back(i);
      return;
    }
    std::vector<uint64_t> bits(kChunk / 64, rest ? ~uint64_t{0} : 0);
    for (const uint64_t exception : words) bits[exception / 64] ^= uint64_t{1} << exception % 64;
    words = std::move(bits);
    dense = true;
  }
  words[i / 64] ^= uint64_t{1} << i % 64;
}

uint64_t RefcountMap::Chunk::memory() const {
  return kNode + counts.size() + 8 * (copied.words.capacity() + plain.words.capacity());
}

void RefcountMap::start(uint64_t first, uint64_t last) {
  chunks_.clear();
  recent_ = nullptr;
  used_ = 0;
  first_ = first;
  last_ = last;
}

const RefcountMap::Chunk* RefcountMap::find(uint64_t number) const {
  if (recent_ != nullptr && recent_number_ == number) return recent_;
  const auto found = chunks_.find(number);
  if (found == chunks_.end()) return nullptr;
  recent_number_ = number;
  recent_ = &found->second;
  return recent_;
}

RefcountMap::Chunk& RefcountMap::chunk_for(uint64_t number, Pointer kind) {
  // What is found is const for those who only look.
  if (const Chunk* found = find(number)) return const_cast<Chunk&>(*found);
  Chunk& chunk = chunks_[number];
  chunk.counts.resize(kChunk / 8);
  chunk.copied.rest = kind == Pointer::copied;
  chunk.plain.rest = kind == Pointer::plain;
  used_ += chunk.memory();
  recent_number_ = number;
  recent_ = &chunk;
  return chunk;
}

void RefcountMap::widen(Chunk& chunk, uint64_t value) {
  const uint32_t old_order = chunk.order;
  while (value > max_count(chunk.order)) ++chunk.order;
  std::vector<std::byte> wider((kChunk << chunk.order) / 8);
  for (uint64_t i = 0; i < kChunk; ++i) {
    const uint64_t count = packed_count(chunk.counts, old_order, i);
    if (count != 0) set_packed_count(wider, chunk.order, i, count);
  }
  chunk.counts = std::move(wider);
}

// Behind the chunks that go, what was counted is not whole any more.
void RefcountMap::shrink_window() {
  while (used_ > memory_ && chunks_.size() > 1) {
    const auto highest = std::prev(chunks_.end());
    last_ = std::max(highest->first * kChunk, first_ + 1);
    used_ -= highest->second.memory();
    if (recent_ == &highest->second) recent_ = nullptr;
    chunks_.erase(highest);
  }
}

void RefcountMap::add(uint64_t cluster, uint64_t count, Pointer kind) {
  if (cluster < first_ || cluster >= last_ || count == 0) return;
  Chunk& chunk = chunk_for(cluster / kChunk, kind);
  const uint64_t before = chunk.memory();
  const auto i = static_cast<uint16_t>(cluster % kChunk);
  const uint64_t old = packed_count(chunk.counts, chunk.order, i);
  const uint64_t now = count > ~uint64_t{0} - old ? ~uint64_t{0} : old + count;
  if (now > max_count(chunk.order)) widen(chunk, now);
  set_packed_count(chunk.counts, chunk.order, i, now);
  // The first pointer to a cluster decides both ways; those after it only add.
  if (old == 0 || kind == Pointer::copied) chunk.copied.set(i, kind == Pointer::copied);
  if (old == 0 || kind == Pointer::plain) chunk.plain.set(i, kind == Pointer::plain);
  used_ += chunk.memory() - before;
  if (used_ > memory_) shrink_window();
}

uint64_t RefcountMap::count(uint64_t cluster) const {
  const Chunk* chunk = find(cluster / kChunk);
  return chunk == nullptr ? 0 : packed_count(chunk->counts, chunk->order, cluster % kChunk);
}

bool RefcountMap::has(uint64_t cluster, Pointer kind) const {
  const Chunk* chunk = find(cluster / kChunk);
  const auto i = static_cast<uint16_t>(cluster % kChunk);
  if (chunk == nullptr || packed_count(chunk->counts, chunk->order, i) == 0) return false;
  return (kind == Pointer::copied ? chunk->copied : chunk->plain).at(i);
}

uint64_t RefcountMap::next_used(uint64_t from, uint64_t end) const {
  const auto chunk = chunks_.lower_bound(from / kChunk);
  if (chunk == chunks_.end()) return end;
  return std::min(std::max(chunk->first * kChunk, from), end);
}

}  // namespace platter::qcow2
