#include "formats/qcow2/refcounts.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow2/packed_count.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr Range kWholeFile{0, kMaxHostOffset};

uint64_t unit_of(const Header& header) {
  return std::min(header.cluster_size(), PageCache::kPageSize);
}

}  // namespace

Refcounts::Refcounts(const FilePtr& file, const Header& header,
                     const std::shared_ptr<PageCache>& clean)
    : cluster_bits_(header.cluster_bits),
      order_(header.refcount_order),
      where_(header.refcount_table),
      blocks_(file, kWholeFile, clean, unit_of(header)),
      table_(file, kWholeFile, clean, unit_of(header)) {}

uint64_t Refcounts::max() const { return max_count(order_); }

// The last cluster of the table may be cut short by the end of the file.
Result<uint64_t> Refcounts::table_entry(uint64_t index) const {
  const uint64_t at = where_.offset + index * sizeof(be64);
  const PageCache::PagePtr page = TRY_IN("refcount table", table_.page(at));
  const size_t in_page = at % PageCache::kPageSize;
  return in_page < page->valid ? uint64_t{load<be64>(page->bytes, in_page)} : 0;
}

Result<uint64_t> Refcounts::block_place(uint64_t index) const {
  if (index >= where_.entries) return uint64_t{0};
  const uint64_t block = TRY(table_entry(index)) & ~(kSector - 1);
  if (block % (uint64_t{1} << cluster_bits_) != 0 || block >= kMaxHostOffset) {
    return Error(Errc::corrupt,
                 fmt::format("refcount table entry {}: block at {:#x} unaligned", index, block));
  }
  return block;
}

Result<std::vector<std::byte>> Refcounts::block(uint64_t index) const {
  std::vector<std::byte> bytes(uint64_t{1} << cluster_bits_);
  const uint64_t place = TRY(block_place(index));
  TRY_IN("refcount block", blocks_.read(place, MutableBytes(bytes)));
  return bytes;
}

Result<bool> Refcounts::counted(uint64_t cluster) const { return TRY(block_of(cluster)) != 0; }

Result<uint64_t> Refcounts::get(uint64_t cluster) const {
  const uint64_t block = TRY(block_of(cluster));
  if (block == 0) return uint64_t{0};
  const uint64_t index = cluster % per_block();
  const uint64_t at = block + (index << order_) / 8;
  const PageCache::PagePtr page = TRY_IN("refcount block", blocks_.page(at));
  const size_t in_page = at % PageCache::kPageSize;
  if (in_page >= page->valid) return uint64_t{0};
  return packed_count(Bytes(page->bytes).subspan(in_page), order_, in_byte(index));
}

Result<void> Refcounts::set(uint64_t cluster, uint64_t value) {
  const uint64_t block = TRY(block_of(cluster));
  if (block == 0) return Error(Errc::corrupt, fmt::format("no refcount block for {}", cluster));
  const uint64_t index = cluster % per_block();
  const uint64_t at = block + (index << order_) / 8;
  std::array<std::byte, sizeof(uint64_t)> raw{};
  if (order_ < kOrderOfByte) {
    const PageCache::PagePtr page = TRY(blocks_.page(at));
    const size_t in_page = at % PageCache::kPageSize;
    if (in_page < page->valid) raw[0] = page->bytes[in_page];
  }
  set_packed_count(raw, order_, in_byte(index), value);
  return blocks_.store(at, Bytes(raw).first(div_up(uint64_t{1} << order_, 8)));
}

Result<Refcounts::Found> Refcounts::find_free(uint64_t from, uint64_t end, unsigned pages) const {
  const uint64_t unit = std::min(uint64_t{1} << cluster_bits_, PageCache::kPageSize);
  for (uint64_t c = from; c < end && pages != 0; --pages) {
    const uint64_t block = TRY(block_of(c));
    if (block == 0) return Found{c, true};
    uint64_t index = c % per_block();
    const uint64_t at = block + (index << order_) / 8;
    const PageCache::PagePtr page = TRY_IN("refcount block", blocks_.page(at));
    const uint64_t unit_end = align_down(at, unit) + unit - block;
    const uint64_t stop = std::min(unit_end * 8 >> order_, index + (end - c));
    for (; index < stop; ++index, ++c) {
      const size_t in_page = (block + (index << order_) / 8) % PageCache::kPageSize;
      if (in_page >= page->valid) return Found{c, true};
      const Bytes there = Bytes(page->bytes).subspan(in_page);
      if (packed_count(there, order_, in_byte(index)) == 0) return Found{c, true};
    }
    from = c;
  }
  return Found{std::min(from, end), false};
}

Result<void> Refcounts::add_block(uint64_t cluster, uint64_t host) {
  const std::vector<std::byte> zeroes(uint64_t{1} << cluster_bits_);
  blocks_.replace(host, zeroes);
  return table_.store(where_.offset + cluster / per_block() * sizeof(be64), be64(host));
}

Result<std::vector<be64>> Refcounts::entries() const {
  std::vector<be64> all(where_.entries);
  for (uint64_t i = 0; i < all.size(); ++i) all[i] = TRY(table_entry(i));
  return all;
}

void Refcounts::move(const Table& where, const std::vector<be64>& entries) {
  table_.replace(where.offset, std::as_bytes(std::span(entries)));
  where_ = where;
}

}  // namespace platter::qcow2
